"""`loadproof history`: shows what changed over all runs of a scenario, and when."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadproof.cli import judging
from loadproof.cli.compare import nothing_in
from loadproof.cli.console.options import (
    DEFAULT_OUT,
    AnnotateOption,
    InconclusiveOption,
    NotifyOption,
    console,
    output_option,
    percentage,
)
from loadproof.cli.console.policy import Policy
from loadproof.errors import InputError, Problem, RunDirectoryError
from loadproof.run.machine.extras import JUDGE, require
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

_GATES = "*-gate*"
"""Directories of gates, whose runs belong to the history, too."""


def history(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory that holds run directories.")
    ] = DEFAULT_OUT,
    scenario: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which scenario's runs (needed if there are several).")
    ] = None,
    smallest: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Ignore changes below this (default: the scenario's margin, 5 %)."),
    ] = None,
    out: Annotated[
        Path, output_option(metavar="DIR", help="Directory to create the report's directory in.")
    ] = DEFAULT_OUT,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
    notify: NotifyOption = None,
) -> None:
    """Show how a scenario's results changed over all of its runs."""
    require(JUDGE)
    policy = Policy.of(inconclusive, annotate, notify)
    least = None if smallest is None else percentage(smallest, "--smallest")
    paths = _runs_of(scenario, _by_scenario(directory))
    from loadproof.analysis.compare.history import history_of
    from loadproof.analysis.outputs.ci.judged import Judged
    from loadproof.analysis.outputs.historyconclusion import concluded_history
    from loadproof.analysis.outputs.historyfile import history_terminal
    from loadproof.analysis.report.history_page import history_files

    with policy.telling_trouble("history"):
        past = history_of(paths, smallest=least)
        written = files.create_run_directory(out, f"history-{past.scenario}")
        files.write_all(history_files(past, written))
    console.print(history_terminal(past))
    judging.show_path(console, "report", written / files.REPORT)
    judged = Judged(past.scenario, result=concluded_history(past))
    policy.tell_all([judged], summary=written / files.SUMMARY, report=written / files.REPORT)
    raise typer.Exit(judged.exit_code(lenient=policy.is_lenient))


def _by_scenario(directory: Path) -> Mapping[str, list[Path]]:
    """Run directories, also those inside gates, by scenario name; unreadable ones have an empty name."""
    runs: dict[str, list[Path]] = {}
    for pattern in (f"*/{files.MANIFEST}", f"{_GATES}/*/{files.MANIFEST}"):
        for manifest in sorted(directory.glob(pattern)):
            try:
                name = read_manifest(manifest.parent).scenario.name
            except RunDirectoryError:
                name = ""
            runs.setdefault(name, []).append(manifest.parent)
    if not runs.keys() - {""}:
        what = nothing_in(directory)
        raise InputError(Problem(str(directory), what, "give the directory that `loadproof run --out` wrote to"))
    return runs


def _runs_of(scenario: str | None, by_scenario: Mapping[str, list[Path]]) -> list[Path]:
    """The runs of a scenario, plus the unreadable ones: they may belong to any scenario, so they are reported."""
    names = [name for name in by_scenario if name]
    if scenario is None and len(names) == 1:
        scenario = names[0]
    if scenario not in names:
        counts = ", ".join(
            f"{name} ({count})" for name, count in Counter({n: len(by_scenario[n]) for n in names}).most_common()
        )
        what = "the runs are of several scenarios" if scenario is None else "no runs of this scenario"
        raise InputError(Problem("--scenario", what, f"choose one of: {counts}", got=scenario))
    return by_scenario[scenario] + by_scenario.get("", [])
