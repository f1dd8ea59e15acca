"""`loadproof compare`: compares the runs of two releases, and tells changes from noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from loadproof.cli import judging
from loadproof.cli.console.options import (
    DEFAULT_OUT,
    AnnotateOption,
    InconclusiveOption,
    NotifyOption,
    OutOption,
    console,
    percentage,
)
from loadproof.cli.console.policy import Policy
from loadproof.errors import InputError, InvalidRunError, Problem
from loadproof.run.machine.extras import JUDGE, require
from loadproof.rundir import files

if TYPE_CHECKING:
    from loadproof.analysis.compare.comparison import Comparison

DIVIDER: Final = "\x1f--"
"""Placeholder for `--` among the arguments, because click drops the original."""
_USAGE: Final = "write `loadproof compare BASELINE... -- CANDIDATE...`, or --baseline DIR --candidate DIR"

RunsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="BASELINE... -- CANDIDATE...",
        help="Run directories of both releases, at least three of each; or directories that hold them.",
    ),
]
BaselineSideOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="DIR", help="A run of the last release, or a directory of them; repeatable."),
]
CandidateSideOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="DIR", help="A run of the new release, or a directory of them; repeatable."),
]
MarginOption = Annotated[
    str | None,
    typer.Option(metavar="PERCENT", help="Largest change that doesn't matter, like '5 %' (default: the scenario's)."),
]


def compare(
    runs: RunsArgument = None,
    baseline: BaselineSideOption = None,
    candidate: CandidateSideOption = None,
    margin: MarginOption = None,
    out: OutOption = DEFAULT_OUT,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
    notify: NotifyOption = None,
) -> None:
    """Compare two releases by several runs of each."""
    require(JUDGE)
    from loadproof.analysis.outputs.ci.judged import Judged

    policy = Policy.of(inconclusive, annotate, notify)

    sides = _sides(runs or [], baseline or [], candidate or [])
    allowed = None if margin is None else _margin(margin)
    with policy.telling_trouble("compare"):
        comparison = comparison_of(*sides, margin=allowed)
        directory = files.create_run_directory(out, f"compare-{comparison.scenario.name}")
        write_comparison(comparison, directory)
    judged = Judged(comparison.scenario.name, comparison=comparison)
    policy.tell_all([judged], summary=directory / files.SUMMARY, report=directory / files.REPORT)
    raise typer.Exit(judged.exit_code(lenient=policy.is_lenient))


def comparison_of(baseline: Sequence[Path], candidate: Sequence[Path], *, margin: float | None = None) -> Comparison:
    """Compare the usable runs of both sides, with notes on those left out; InvalidRunError if a side has none left."""
    from loadproof.analysis.compare.comparison import compare as compare_runs
    from loadproof.analysis.compare.replicates import usable_replicates
    from loadproof.analysis.judge.finding import Finding

    (was, was_refused), (now, now_refused) = (usable_replicates(paths) for paths in (baseline, candidate))
    errors = [*was_refused, *now_refused]
    unreadable = [error for error in errors if not isinstance(error, InvalidRunError)]
    if unreadable:
        raise type(unreadable[0])([problem for error in unreadable for problem in error.problems])
    problems = [problem for error in errors for problem in error.problems]
    if not was or not now:
        raise InvalidRunError(problems or Problem("compare", "no runs on one side", "measure both sides"))
    left_out = [
        Finding.note(f"{problem.where} is left out: {problem.what} ({problem.got})", problem.remedy)
        for problem in problems
    ]
    comparison = compare_runs(was, now, margin=margin)
    return replace(comparison, findings=(*comparison.findings, *left_out))


def write_comparison(comparison: Comparison, directory: Path) -> None:
    """Write a comparison's files and show it."""
    from loadproof.analysis.outputs.comparisontables import comparison_view
    from loadproof.analysis.report.compare_page import comparison_files

    files.write_all(comparison_files(comparison, directory))
    console.print(comparison_view(comparison))
    judging.show_path(console, "report", directory / files.REPORT)


def _sides(runs: Sequence[Path], baseline: Sequence[Path], candidate: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Run directories of both sides; InputError with the usage if they aren't given as it says."""
    texts = list(map(str, runs))
    if texts and (baseline or candidate):
        raise InputError(Problem("compare", "runs are given as arguments and as options", _USAGE))
    if texts:
        if texts.count(DIVIDER) != 1:
            what = "no `--` between baseline and candidate" if DIVIDER not in texts else "more than one `--`"
            raise InputError(Problem("compare", what, _USAGE))
        at = texts.index(DIVIDER)
        baseline, candidate = runs[:at], runs[at + 1 :]
    problems = [
        Problem("compare", f"no runs of the {name}", _USAGE)
        for name, side in (("baseline", baseline), ("candidate", candidate))
        if not side
    ]
    if problems:
        raise InputError(problems)
    # Both sides at once, so that all errors are reported together.
    runs_below([*baseline, *candidate])
    return runs_below(baseline), runs_below(candidate)


def runs_below(paths: Sequence[Path]) -> list[Path]:
    """Each run directory itself, and the run directories directly inside any other directory, sorted by name.

    InputError with all paths that yield none.
    """
    by_path = {path: _runs_in(path) for path in paths}
    if empty := [path for path, runs in by_path.items() if not runs]:
        raise InputError(map(_no_runs, empty))
    return [run for path in paths for run in by_path[path]]


def _no_runs(path: Path) -> Problem:
    """The problem; suggests a gate's directory one level below, which is easily missed."""
    what = nothing_in(path)
    deeper = sorted({manifest.parents[1] for manifest in path.glob(f"*/*/{files.MANIFEST}")})
    remedy = f"give one that holds some, like {deeper[-1]}" if deeper else ""
    return Problem(str(path), what, remedy or "give run directories, or a directory that holds some")


def nothing_in(path: Path) -> str:
    """Why there are no run directories below a path."""
    if path.is_dir():
        return "no runs in it"
    return "not a directory" if path.exists() else "no such directory"


def _runs_in(path: Path) -> list[Path]:
    if (path / files.MANIFEST).exists():
        return [path]
    return sorted(manifest.parent for manifest in path.glob(f"*/{files.MANIFEST}"))


def _margin(text: str) -> float:
    margin = percentage(text, "--margin")
    if not 0 < margin <= 1:
        raise InputError(Problem("--margin", "out of range", "write more than 0 % and at most 100 %", got=text))
    return margin
