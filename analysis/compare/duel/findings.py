"""Turns a duel's record into findings for its report: how it was run, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from loadproof.analysis.compare.duel.falsealarms import false_alarms
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.word import Word
from loadproof.rundir.duel import resume_command

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.rundir.duel import Duel
    from loadproof.scenario.scenario import Scenario


def findings_of(duel: Duel, path: Path) -> Iterator[Finding]:
    """Findings on the duel in this directory; earlier duels of equals are looked for in its parent directory."""
    if duel.ending != "decided":
        yield _undecided(duel, path)
    looks = ", ".join(map(str, duel.looks))
    if duel.ending == "decided":
        how = "at the same time on halves of the machine" if duel.is_duet else "in ABBA blocks"
        what = f"{duel.pairs} runs of each side {how}; looks after {looks} of each were fixed beforehand"
        yield Finding.note(what, f"it ended because {duel.reason}")
    if duel.is_quick:
        remedy = "leave out --quick for smaller changes"
        yield Finding.note("a quick duel, which only finds large differences", remedy)
    if duel.repeated:
        what = f"{duel.repeated} of {len(duel.runs)} runs were INVALID and don't count"
        yield Finding.note(what, f"give the generator a quieter machine: the last was INVALID because {_why(duel)}")
    if duel.kind == "aa" and duel.changed is not None:
        what = f"both sides are the same release, and {_alarms(duel.changed)}"
        yield Finding.note(what, "repeat it for a better estimate of the rate of false alarms on this machine")
    yield _of_equals(duel, path.parent)


def undeciding(finding: Finding) -> Finding:
    """The finding between looks, where a difference between the sides is not a FAIL yet."""
    return replace(finding, word=Word.PASS, qualifies=True) if finding.word is Word.FAIL else finding


def unaudited(scenario: Scenario) -> Iterator[Finding]:
    """A note if the scenario has audits: a duel compares what both sides measured, and audits aren't part of it."""
    if audits := ", ".join(dict.fromkeys(scenario.audits)):
        what = f"audits are not part of a duel ({audits})"
        yield Finding.note(what, "`loadproof report` of its runs judges them", qualifies=True)


def _alarms(changed: int) -> str:
    match changed:
        case 0:
            return "no row is called changed: no false alarm"
        case 1:
            return "one row is called changed: a false alarm"
        case _:
            return f"{changed} rows are called changed, all of them false alarms"


def _undecided(duel: Duel, path: Path) -> Finding:
    how = duel.reason or duel.ending
    if duel.ending in {"interrupted", "terminated"}:
        how = f"the duel was {duel.ending} ({duel.reason})"
    n = len(duel.counted)
    what = f"{how} after {n} {'valid run' if n == 1 else 'valid runs'}: not decided at any look"
    if duel.ending == "died":
        is_candidates = duel.runs[-1].side == "candidate" and duel.kind == "duel"
        remedy = f"its output is in {duel.runs[-1].side}.log"
        return Finding(Word.FAIL if is_candidates else Word.INVALID, what, remedy)
    word = Word.INVALID if duel.ending == "unmeasured" else Word.INCONCLUSIVE
    return Finding(word, what, f"continue it with `{resume_command(path)}`")


def _why(duel: Duel) -> str:
    return next(run.invalid for run in reversed(duel.runs) if run.invalid)


def _of_equals(duel: Duel, reports: Path) -> Finding:
    """How often duels of equals were wrong on this machine, as far as is known."""
    alarms = false_alarms(reports, duel)
    remedy = "compare the baseline with itself now and then: `loadproof duel SCENARIO --baseline … --aa`"
    if not alarms.duels:
        what = (
            "how often a duel of equals finds a change on this machine is not known yet; it should be 1 in 50 at most"
        )
        return Finding.note(what, remedy)
    return Finding.note(str(alarms), remedy)
