"""Plays cases in several rounds: each is right, wrong, or unmeasured because the machine was too busy."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.adversary.case import INVALID, Case, Played
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.disturbances import disturbances
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.word import Word

TRIES = 3


@dataclass
class Tally:
    """Results of one case."""

    case: Case
    said: Counter[str] = field(default_factory=Counter)
    wrongs: list[str] = field(default_factory=list)
    wrong_rounds: int = 0
    repeated: int = 0
    disturbed: int = 0
    """Wrong rounds of honest cases: INVALID in every try, only because the machine was busy."""
    unmeasured: int = 0
    """Rounds of hostile cases: INVALID in every try because the machine was busy, without the right verdict beneath."""

    def as_json(self) -> dict[str, Any]:
        case = self.case
        return {
            "name": case.name,
            "kind": case.kind,
            "tries": case.tries,
            "honest": case.is_honest,
            "right": list(case.right),
            "said": dict(self.said),
            "wrong": self.wrong_rounds,
            "wrongs": sorted(set(self.wrongs)),
            "repeated": self.repeated,
            "disturbed": self.disturbed,
            "unmeasured": self.unmeasured,
        }


def wanted_quiet(reports: Path) -> bool:
    """Whether the run is INVALID because its generator was disturbed, and for no other reason."""
    manifests = list(reports.rglob("manifest.json"))
    if len(manifests) != 1:
        return False
    run = load_run(manifests[0].parent)
    invalid = {finding.what for finding in findings_in(run) if finding.word is Word.INVALID}
    disturbed = {finding.what for finding in disturbances(run) if finding.word is Word.INVALID}
    return bool(invalid) and invalid <= disturbed


def play(case: Case, tally: Tally, keep: Path | None = None, tries: int = TRIES) -> None:
    """Play one round, repeated if the machine was too busy for a verdict."""
    faults: list[str] = []
    for number in range(tries):
        disturbed, wrongs, more_faults = _once(case, tally, keep)
        faults += more_faults
        if not disturbed:
            break
        tally.repeated += number < tries - 1
    if disturbed and not case.is_honest:
        tally.unmeasured += 1
        wrongs = []
    tally.disturbed += disturbed and bool(wrongs)
    tally.wrongs += [*wrongs, *faults]
    tally.wrong_rounds += bool(wrongs or faults)


def _once(case: Case, tally: Tally, keep: Path | None) -> tuple[bool, list[str], list[str]]:
    """Play once; returns whether a busy machine hid the verdict, what is wrong with it, and its faults.

    For a hostile case, it suffices if the thresholds beneath INVALID have the right verdict.
    """
    with tempfile.TemporaryDirectory(prefix="adversary-") as name:
        played = case.play(Path(name))
        disturbed = played.said == INVALID and case.may_be_disturbed and wanted_quiet(played.reports)
        tally.said[f"{INVALID} (else {played.beneath})" if disturbed else played.said] += 1
        beneath = disturbed and played.beneath in case.right and not case.is_honest
        wrongs = list(case.wrongs(played, played.beneath if beneath else played.said))
        faults = list(case.faults(played))
        if (wrongs or faults) and keep is not None:
            _keep(case, played, keep)
    return disturbed and not beneath, wrongs, faults


def _keep(case: Case, played: Played, keep: Path) -> None:
    """Save the command's output for inspection."""
    keep.mkdir(parents=True, exist_ok=True)
    (keep / f"{case.name.replace(' ', '-').replace('/', '-')}.txt").write_text(played.output)


def play_all(
    cases: Iterable[Case],
    rounds_of: Callable[[Case], int],
    *,
    together: int,
    tell: Callable[[Tally], None],
    keep: Path | None,
    tries: int = TRIES,
) -> list[Tally]:
    """Play each case for its number of rounds, `together` cases at a time; `tell` is called as each one ends."""

    def whole(case: Case) -> Tally:
        tally = Tally(case)
        if case.needs is not None and not case.needs():
            tally.unmeasured = rounds_of(case)
            tell(tally)
            return tally
        for _ in range(rounds_of(case)):
            play(case, tally, keep, tries)
        tell(tally)
        return tally

    with ThreadPoolExecutor(together) as crew:
        return list(crew.map(whole, cases))
