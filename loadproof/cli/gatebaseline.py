"""Compares a gate's runs with those of the last release, scenario by scenario."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from loadproof.cli import judging
from loadproof.cli.compare import comparison_of, runs_below, write_comparison
from loadproof.cli.console.terminal import note
from loadproof.errors import ExitCode, InputError, InvalidRunError, LoadproofError, Problem
from loadproof.run.assignment import new_manifest
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from loadproof.units import counted

if TYPE_CHECKING:
    from loadproof.analysis.compare.replicates import Replicate
    from loadproof.analysis.judge.judgement import Judgement
    from loadproof.analysis.outputs.ci.judged import Judged
    from loadproof.run.assignment import Assignment
    from loadproof.run.processes.stopping import StopSignal
    from loadproof.scenario.scenario import Scenario


def baseline_runs(paths: Sequence[Path], names: Sequence[str]) -> dict[str, list[Path]]:
    """The run directories in these directories, by scenario; InputError if one of the scenarios has none."""
    by_name: dict[str, list[Path]] = {name: [] for name in names} if paths else {}
    for path in runs_below(paths):
        by_name.get(read_manifest(path).scenario.name, []).append(path)
    remedy = "give the directory of an earlier gate, or of runs of the same scenarios"
    lacking = [name for name, found in by_name.items() if not found]
    if lacking:
        where = f"--baseline {' '.join(map(str, paths))}"
        raise InputError(Problem(where, f"no runs of {name}", remedy) for name in lacking)
    return by_name


def check_comparable(assignments: Sequence[Assignment], before: Mapping[str, Sequence[Path]]) -> None:
    """InputError if the planned runs couldn't be compared with the baseline's; checked before an hour is spent."""
    from loadproof.analysis.compare.baseline.sides import other_machines, other_scenarios
    from loadproof.analysis.compare.comparedrow import ENOUGH_RUNS
    from loadproof.analysis.compare.replicates import Replicate, usable_replicates

    problems: dict[Problem, None] = {}
    notes: list[str] = []
    for assignment in assignments if before else ():
        name = assignment.scenario.name
        baseline, refused = usable_replicates(before[name])
        planned = Replicate(assignment.scenario_file, new_manifest(assignment, run_id="", base_url=""), {})
        found = [*other_scenarios([planned, *baseline]), *other_machines(baseline, [planned])]
        problems |= dict.fromkeys([*_useless(name, baseline, refused), *found])
        usable = sum(not run.broke for run in baseline)
        if 0 < usable < ENOUGH_RUNS:
            few = f"the baseline has {counted(usable, 'usable run')} of {name}, too few to tell a change from noise"
            notes.append(f"{few}: {ENOUGH_RUNS} are needed")
    if problems:
        raise InputError(problems)
    for text in notes:
        note(text)


def _useless(name: str, baseline: Sequence[Replicate], refused: Sequence[LoadproofError]) -> Iterator[Problem]:
    """Runs that can't be read and, if no run of the baseline has values, why."""
    has_values = any(not run.broke for run in baseline)
    for error in refused:
        if not has_values or not isinstance(error, InvalidRunError):
            yield from error.problems
    if baseline and not has_values:
        what = f"the target ended every run of {name}, so they have no values"
        yield Problem("--baseline", what, "give runs of a release that stayed up", got=str(baseline[0].path))


def open_judgements(scenario: Scenario) -> tuple[Judgement, ...]:
    """INCONCLUSIVE for each threshold relative to the baseline, until all runs are made."""
    from loadproof.analysis.judge.judgement import Judgement, Wanting
    from loadproof.analysis.word import Word

    reason = "not decided yet: all runs together decide it, in the end"
    return tuple(
        Judgement(threshold, Word.INCONCLUSIVE, None, reason, wanting=Wanting.ALL_RUNS)
        for threshold in scenario.thresholds
        if threshold.expectation.of_baseline
    )


def beside_baseline(gated: Sequence[Judged], before: Mapping[str, Sequence[Path]], out: Path) -> list[Judged]:
    """The runs, with thresholds relative to the baseline judged on all of them; then each scenario's comparison."""
    from loadproof.analysis.outputs.ci.judged import Judged

    judged, compared = list(gated), []
    for name, paths in before.items():
        places = [place for place, entry in enumerate(judged) if entry.run and entry.run.manifest.scenario.name == name]
        runs = [entry.run.path for place in places if (entry := judged[place]).run]
        try:
            comparison = _compared(paths, runs, out, name)
        except LoadproofError as error:
            compared.append(Judged.of_error(_title(name), error))
            continue
        compared.append(comparison)
        for place in places:
            try:
                judged[place] = _judged_again(judged[place], comparison)
            except LoadproofError as error:
                # Without a word on the baseline, this run is not green; the others are judged all the same.
                judged[place] = Judged(judged[place].scenario, trouble=str(error), ended_as=ExitCode.INVALID)
    return [*judged, *compared]


def _compared(baseline: Sequence[Path], candidate: Sequence[Path], out: Path, name: str) -> Judged:
    from loadproof.analysis.outputs.ci.judged import Judged

    comparison = comparison_of(baseline, candidate)
    write_comparison(comparison, files.create_run_directory(out, f"compare-{name}"))
    return Judged(_title(name), comparison=comparison)


def uncompared(names: Iterable[str], stop_signal: StopSignal) -> list[Judged]:
    """One entry for each scenario that the gate has not compared yet, and won't compare after a stop signal."""
    from loadproof.analysis.outputs.ci.judged import Judged

    code = stop_signal.exit_code if stop_signal else ExitCode.NOTHING_MEASURED
    trouble = f"not compared: the gate was {stop_signal.ending}" if stop_signal else "not compared yet"
    return [Judged(_title(name), trouble=trouble, ended_as=code) for name in names]


def _title(name: str) -> str:
    return f"{name} and its baseline"


def _judged_again(entry: Judged, compared: Judged) -> Judged:
    """The run with its thresholds relative to the baseline judged on all runs."""
    if entry.run is None or compared.comparison is None or not compared.comparison.judgements:
        return entry
    return replace(entry, verdict=judging.judge_again(entry.run, compared.comparison.judgements))
