"""What a duel prints when it begins and ends: its plan, its report, its closing lines; and its exit code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.text import Text

from loadproof.cli.compare import write_comparison
from loadproof.cli.console.options import console
from loadproof.errors import ExitCode, LoadproofError, OutputError, escaped
from loadproof.rundir.duel import resume_command, write_duel
from loadproof.rundir.files import JUNIT, REPORT, SUMMARY, write_whole
from loadproof.units import format_duration

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.compare.duel.sequential import InterimResult
    from loadproof.analysis.compare.replicates import Replicate
    from loadproof.cli.console.policy import Policy
    from loadproof.rundir.duel import Duel
    from loadproof.scenario.scenario import Scenario

_OVERHEAD_S: Final = 7.0
"""Approximate time per run besides its phases: starting, stopping and reading it."""


def say(text: str) -> None:
    """Print on one line, however narrow the terminal or the log."""
    console.print(Text(escaped(text)), soft_wrap=True)


def show_plan(path: Path, duel: Duel, scenario: Scenario) -> None:
    """Print what the duel will do, and how long it may take at most."""
    run_s = scenario.duration_s + _OVERHEAD_S
    left = 2 * duel.looks[-1] - len(duel.counted)
    looks = ", ".join(map(str, duel.looks))
    say(f"{path}: at most {left} runs of about {format_duration(run_s)}, {format_duration(left * run_s)} together")
    say(f"looks after {looks} runs of each side, and only there: differences shown before may be noise")


def conclude(
    path: Path,
    duel: Duel,
    interim: InterimResult | None,
    sides: tuple[list[Replicate], list[Replicate]],
    policy: Policy,
) -> ExitCode:
    """Write and show the result, or the data so far if nothing was decided; returns the exit code."""
    from loadproof.analysis.compare.duel.findings import findings_of, unaudited

    if duel.ending == "decided" and interim is not None:
        duel = duel.model_copy(update={"changed": interim.changed})
        write_duel(path, duel)
        found = findings_of(duel, path)
        findings = (*found, *interim.comparison.findings, *unaudited(interim.comparison.scenario))
        is_aa = duel.kind == "aa"
        comparison = replace(interim.comparison, findings=findings, of_equals=is_aa, looks=duel.looks)
        return _shown(comparison, path, policy)
    code = _code_of(duel)
    say(f"{code.name}: {duel.reason or duel.ending}")
    if not _told_so_far(duel, path, sides, policy):
        _tell_ending(duel, path, policy)
    say(f"the results so far are kept; resume with: {resume_command(path)}")
    return code


def _told_so_far(duel: Duel, path: Path, sides: tuple[list[Replicate], list[Replicate]], policy: Policy) -> bool:
    """Write, show and tell the data so far; false if a side has none, or they can't be written."""
    if not all(sides):
        return False
    try:
        _shown(_undecided(duel, path, sides), path, policy, ended_as=_code_of(duel))
    except LoadproofError as error:
        say(str(error))
        return False
    return True


def _tell_ending(duel: Duel, path: Path, policy: Policy) -> None:
    """Tell how the duel ended, where there is no comparison that says so."""
    from loadproof.analysis.compare.duel.findings import findings_of
    from loadproof.analysis.outputs.ci.comparisonresults import concluded_ending
    from loadproof.analysis.outputs.ci.judged import Judged

    result = concluded_ending(duel.scenario, next(findings_of(duel, path)))
    try:
        write_whole(path / JUNIT, result.junit)
    except OutputError as error:
        say(str(error))
    policy.tell_all([Judged(duel.scenario, result=result, ended_as=_code_of(duel))], summary=None, report=path)


def _undecided(duel: Duel, path: Path, sides: tuple[list[Replicate], list[Replicate]]) -> Comparison:
    """The data so far: only the duel's ending gives it a word, because nothing else is decided between looks."""
    from loadproof.analysis.compare.comparison import compare
    from loadproof.analysis.compare.duel.findings import findings_of, undeciding

    comparison = compare(*sides, family=())
    findings = (*findings_of(duel, path), *map(undeciding, comparison.findings))
    return replace(comparison, judgements=(), findings=findings)


def _shown(comparison: Comparison, path: Path, policy: Policy, *, ended_as: ExitCode | None = None) -> ExitCode:
    """Write and print the report, and send notifications; returns the exit code, `ended_as` if that is given."""
    from loadproof.analysis.outputs.ci.judged import Judged

    write_comparison(comparison, path)
    judged = Judged(comparison.scenario.name, comparison=comparison, ended_as=ended_as)
    policy.tell_all([judged], summary=path / SUMMARY, report=path / REPORT)
    return judged.exit_code(lenient=policy.is_lenient)


def _code_of(duel: Duel) -> ExitCode:
    """The exit code of a duel that ended without a decision."""
    match duel.ending:
        case "interrupted":
            return ExitCode.INTERRUPTED
        case "terminated":
            return ExitCode.TERMINATED
        case "died" if duel.runs[-1].side == "candidate" and duel.kind == "duel":
            return ExitCode.FAIL
        case _:
            return ExitCode.INVALID
