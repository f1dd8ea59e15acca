"""Finds faults that can't happen as a scenario describes them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from loadproof.scenario.faults import Backup, Kill, NamedCommand, Pause, Restart
from loadproof.scenario.mistake import Mistake
from loadproof.scenario.strict import nearest
from loadproof.scenario.target.commands import AUDITED
from loadproof.scenario.thresholds.audit import AuditThreshold

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario


def fault_contradictions(scenario: Scenario) -> Iterator[Mistake]:
    """Path, what is wrong, the value found and the remedy, for each contradiction."""
    starts_s, start_s = {}, 0.0
    for phase in scenario.phases:
        starts_s[phase.name], start_s = start_s, start_s + phase.duration_s
    durations_s = {phase.name: phase.duration_s for phase in scenario.phases}
    for index, fault in enumerate(scenario.faults):
        place = ("faults", index)
        at_s = fault.at or 0.0
        if fault.phase not in starts_s:
            yield Mistake((*place, "phase"), "no such phase", fault.phase, nearest(fault.phase, list(starts_s)))
        elif at_s >= durations_s[fault.phase]:
            yield Mistake(
                (*place, "at"),
                "after the end of its phase",
                f"{at_s:g} s",
                f"{fault.phase} lasts {durations_s[fault.phase]:g} s",
            )
        elif starts_s[fault.phase] + at_s + fault.lasts > scenario.duration_s:
            yield Mistake(
                (*place, "lasts"),
                "longer than the run",
                f"{fault.lasts:g} s",
                "let it end before the last phase does",
            )
        if fault.of == "redis" and scenario.settings.limiter != "redis":
            yield Mistake((*place, "of"), "there is no Redis in this run", "redis", "add `settings: {limiter: redis}`")
    yield from _overlaps(scenario, starts_s)
    yield from _of_backups(scenario)


def _of_backups(scenario: Scenario) -> Iterator[Mistake]:
    """Commands of backups used for other faults, and audits of a backup that is never taken.

    Only backups and their audit fill in the placeholders of these commands.
    """
    for index, fault in enumerate(scenario.faults):
        for key in ("name", "undo") if isinstance(fault, NamedCommand) else ():
            if (name := getattr(fault, key)) in AUDITED:
                remedy = "write `fault: backup` for a backup; an audit of it uses the others"
                yield Mistake(("faults", index, key), "a command of backups", name, remedy)
    for index, threshold in enumerate(scenario.all_thresholds):
        is_of_backup = isinstance(threshold, AuditThreshold) and threshold.audit == "backup"
        if is_of_backup and not any(isinstance(fault, Backup) for fault in scenario.faults):
            remedy = "add `{fault: backup, phase: …, lasts: …}` to `faults`"
            what = "the backup audit needs a backup, but the scenario takes none"
            yield Mistake(("thresholds", index, "audit"), what, "backup", remedy)


def _overlaps(scenario: Scenario, starts_s: dict[str, float]) -> Iterator[Mistake]:
    """A process can't be paused, killed or restarted again before it is back.

    Nor may two backups overlap: it would be unclear which of them is the last.
    """
    timed = [
        (starts_s[fault.phase] + (fault.at or 0.0), index, fault)
        for index, fault in enumerate(scenario.faults)
        if fault.phase in starts_s and isinstance(fault, Pause | Kill | Restart | Backup)
    ]
    for (start_s, _, fault), (later_s, index, later) in combinations(sorted(timed, key=lambda one: one[:2]), 2):
        is_backup = isinstance(later, Backup)
        are_alike = is_backup == isinstance(fault, Backup)
        if are_alike and fault.of == later.of and later_s < start_s + fault.lasts:
            what = f"the {later.of} is still down from an earlier fault"
            if is_backup:
                what = "an earlier backup may still be going on"
            yield Mistake(
                ("faults", index, "at"), what, later.fault, f"let it begin after that {fault.fault} has ended"
            )
