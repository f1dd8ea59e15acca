"""`loadproof report`: turns a run directory, or other tools' files, into a verdict and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from loadproof.cli import judging
from loadproof.cli.console.options import AnnotateOption, BaselineOption, InconclusiveOption, NotifyOption, console
from loadproof.cli.console.policy import Policy
from loadproof.errors import InputError, Problem
from loadproof.run.machine.extras import JUDGE, require
from loadproof.rundir.manifest import read_manifest


def report(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="RUN|PREFIX", help="A run directory, or the prefix of any Locust run's CSVs."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Report on a request log instead: a CSV with seconds (or time_ms), name, response_ms, status.",
        ),
    ] = None,
    response_unit: Annotated[
        Literal["s", "ms", "us"] | None,
        typer.Option(help="Unit of a log's response_ms (default: ms, with a doubt if they could be seconds)."),
    ] = None,
    thresholds: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Thresholds for CSVs or a log (default: no verdict)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Output directory for CSVs or a log (default: next to them).")
    ] = None,
    baseline: BaselineOption = None,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
    notify: NotifyOption = None,
) -> None:
    """Re-judge a run, or report on Locust CSVs or a request log."""
    if (source is None) == (log is None):
        raise InputError(Problem("report", "exactly one of RUN, PREFIX and --log is needed", "give one of them"))
    if response_unit is not None and log is None:
        raise InputError(Problem("--response-unit", "is for request logs", "leave it out, or give --log"))
    require(JUDGE)
    policy = Policy.of(inconclusive, annotate, notify)
    if source is not None and source.is_dir() and not judging.holds_csvs(source):
        _refuse_beside(source, thresholds=thresholds, out=out, baseline=baseline or [])
        scenario = read_manifest(source).scenario
        before = judging.load_baseline(baseline, scenario)
        with policy.telling_trouble(scenario.name):
            code = judging.judge_and_tell(source, before, console, policy)
    elif baseline:
        raise InputError(Problem("--baseline", "is for run directories", "leave it out, or give a run directory"))
    elif source is not None:
        code = judging.report_on_csvs(source, thresholds, out, console, policy)
    elif log is not None:
        code = judging.report_on_log(log, response_unit, thresholds, out, console, policy)
    raise typer.Exit(code)


def _refuse_beside(run: Path, *, thresholds: Path | None, out: Path | None, baseline: list[Path]) -> None:
    """Refuse options that don't go with a run directory."""
    if thresholds is not None or out is not None:
        what, remedy = "--thresholds and --out are for CSVs and logs", "leave them out, or give a prefix"
        raise InputError(Problem(str(run), what, remedy, got="a directory"))
    if same := [path for path in baseline if path.resolve() == run.resolve()]:
        raise InputError(Problem(f"--baseline {same[0]}", "the same run", "give an earlier one"))
