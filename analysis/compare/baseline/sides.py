"""Checks two groups of runs for what makes comparing them meaningless, or may explain a difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.compare.baseline.baseline import NONE, circumstances
from loadproof.analysis.compare.baseline.traffic import traffic_of
from loadproof.analysis.judge.finding import Finding
from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.compare.replicates import Replicate
    from loadproof.rundir.manifest import Manifest

    Runs = Sequence[Replicate]

_LEAST_RUNS: Final = 4
"""Per block, like ABBA: pairs would leave too few degrees of freedom."""
_AGAIN: Final = "the same run more than once"


def check_sides(baseline: Runs, candidate: Runs) -> list[Finding]:
    """Notes on other differences between the sides; InputError with all reasons why the runs can't be compared."""
    problems = [*_repeated([*baseline, *candidate]), *other_scenarios([*baseline, *candidate])]
    problems += other_machines(baseline, candidate)
    if problems:
        raise InputError(problems)
    return [*_differing(baseline, candidate), *_order(baseline, candidate), *_releases(baseline, candidate)]


def _repeated(runs: Runs) -> Iterator[Problem]:
    """Runs given more than once, by path or as a copy: no two runs have the same manifest, to the microsecond."""
    times = Counter(run.path.resolve() for run in runs)
    remedy = "give each run once, on one side"
    for path, count in times.items():
        if count > 1:
            yield Problem(str(path), _AGAIN, remedy, got=f"{count} ×")
    for copy, of in copies(runs):
        if copy.path.resolve() != of.path.resolve():
            yield Problem(str(copy.path), _AGAIN, remedy, got=f"a copy of {of.path}")


def copies(runs: Runs) -> Iterator[tuple[Replicate, Replicate]]:
    """Each run that is a copy of an earlier one, wherever its directory is, with that one."""
    first: dict[str, Replicate] = {}
    for run in runs:
        known = first.setdefault(run.manifest.model_dump_json(), run)
        if known is not run:
            yield run, known


def other_scenarios(runs: Runs) -> Iterator[Problem]:
    """Runs whose traffic differs from the first run's."""
    expected = traffic_of(runs[0].manifest.scenario)
    for run in runs[1:]:
        traffic = traffic_of(run.manifest.scenario)
        if parts := [name for name, part in expected.items() if traffic.get(name) != part]:
            remedy = f"compare runs of one scenario: their {' and '.join(parts)} must be the same"
            yield Problem(str(run.path), "a run of another scenario", remedy, got=run.manifest.scenario.name)


def other_machines(baseline: Runs, candidate: Runs) -> Iterator[Problem]:
    """A problem unless each machine has the same share of both sides: its speed would look like the release's."""
    theirs, ours = (Counter(machine_of(run.manifest) for run in runs) for runs in (baseline, candidate))
    if any(theirs[machine] * len(candidate) != ours[machine] * len(baseline) for machine in theirs | ours):
        remedy = "compare runs of one machine, and leave out the others"
        got = f"{_counted(theirs)} → {_counted(ours)}"
        yield Problem("compare", "baseline and candidate ran on different machines", remedy, got=got)


def _counted(machines: Counter[str]) -> str:
    """'2 cores x86_64', or for several machines '3 on 2 cores x86_64, 1 on 4 cores x86_64'."""
    if len(machines) == 1:
        return next(iter(machines))
    return ", ".join(f"{count} on {machine}" for machine, count in sorted(machines.items()))


def machine_of(manifest: Manifest) -> str:
    """The parts of the host that determine its speed; with a newer kernel it is still the same machine."""
    host = manifest.host
    architecture = host.get("system", "").rpartition(" ")[2]
    cores = f"{host.get('cores', '?')} cores {architecture}".strip()
    return f"{host['cpu']}, {cores}" if "cpu" in host else cores


def _differing(baseline: Runs, candidate: Runs) -> Iterator[Finding]:
    theirs, ours = ([circumstances(run.manifest) for run in runs] for runs in (baseline, candidate))
    for name in dict.fromkeys(name for told in (*theirs, *ours) for name in told):
        was, now = (sorted({told.get(name, NONE) for told in side}) for side in (theirs, ours))
        if was != now:
            what = f"the sides differ in {name}: {', '.join(was)} → {', '.join(now)}"
            yield Finding.note(what, "if that is not the change you want to measure, make it the same")


def _releases(baseline: Runs, candidate: Runs) -> Iterator[Finding]:
    """Notes if one side mixes releases, or both sides are one release, by the names that their runs were given."""
    was, now = ({run.manifest.release for run in runs} - {""} for runs in (baseline, candidate))
    for side, names in (("baseline", was), ("candidate", now)):
        if len(names) > 1:
            what = f"the runs of the {side} are of several releases: {', '.join(sorted(names))}"
            yield Finding.note(what, "compare one release per side")
    if len(was) == 1 and was == now:
        what = f"both sides are release {next(iter(was))}"
        yield Finding.note(what, "unless you are testing equal releases, check which runs you gave")


def _order(baseline: Runs, candidate: Runs) -> Iterator[Finding]:
    was, now = ([run.manifest.start_unix_s for run in runs] for runs in (baseline, candidate))
    if min(len(was), len(now)) > 1 and (max(was) < min(now) or max(now) < min(was)):
        what = "one side was measured after the other"
        remedy = "alternate them: a machine that becomes slower would look like a slower release"
        yield Finding.note(what, remedy)


def interleaved(baseline: Runs, candidate: Runs) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Each run's block number, as recorded or else by start time; None unless at least two blocks have both sides.

    By start time, a block is the shortest stretch with equally many runs of both sides, and at least four in all.
    """
    runs = [*baseline, *candidate]
    if all(run.block is not None for run in runs):
        numbers = np.array([run.block for run in runs], dtype=np.int64)
    elif len({run.manifest.start_unix_s for run in runs}) < len(runs):
        return None
    else:
        numbers = _by_time(runs, len(baseline))
    was, now = numbers[: len(baseline)], numbers[len(baseline) :]
    # One side after the other makes a single block, plus a rest with runs of the larger side only.
    return (was, now) if np.intersect1d(was, now).size > 1 else None


def _by_time(runs: Runs, baseline_n: int) -> NDArray[np.int64]:
    numbers = np.zeros(len(runs), dtype=np.int64)
    number = balance = length = 0
    for place in sorted(range(len(runs)), key=lambda each: runs[each].manifest.start_unix_s):
        numbers[place] = number
        balance += 1 if place < baseline_n else -1
        length += 1
        if balance == 0 and length >= _LEAST_RUNS:
            number, length = number + 1, 0
    return numbers
