"""The command line's calls to the analysis, imported only on demand: pandas and matplotlib take seconds."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from loadproof.cli.console.memory import is_want_of_memory, out_of_memory
from loadproof.errors import ExitCode, OutputError, escaped
from loadproof.plan.phases import plan_phases
from loadproof.rundir import files
from loadproof.rundir.selftest import read_selftest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from loadproof.analysis.compare.baseline.baseline import Baseline
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.judge.judgement import Judgement
    from loadproof.analysis.judge.verdict import Verdict
    from loadproof.cli.console.policy import Policy
    from loadproof.run.watching.watch import Broken
    from loadproof.rundir.manifest import Manifest
    from loadproof.scenario.scenario import Scenario


def load_baseline(paths: Sequence[Path] | None, scenario: Scenario) -> Baseline | None:
    """Load the baseline before the run starts: a wrong one must not cost the run its verdict."""
    if not paths:
        return None
    from loadproof.analysis.compare.baseline.baseline import load_baselines

    return load_baselines(paths, scenario)


def judge_so_far(run_directory: Path) -> str:
    """The state of the thresholds while the run goes on: '4 pass, 1 fails, 3 open'."""
    from loadproof.analysis.frames.run import load_run
    from loadproof.analysis.judge.thresholds import judge_threshold
    from loadproof.analysis.word import Word

    loaded = load_run(run_directory)
    words = [judge_threshold(threshold, loaded).word for threshold in loaded.manifest.scenario.thresholds]
    counts = {"pass": words.count(Word.PASS), "fail": words.count(Word.FAIL)}
    counts["open"] = len(words) - sum(counts.values())
    return "thresholds so far: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def watch_for_abort(run_directory: Path, scenario: Scenario) -> Broken | None:
    """The check that ends a run early when a threshold with `abort: true` is violated; None if there is none."""
    if not any(threshold.abort for threshold in scenario.thresholds):
        return None
    from loadproof.analysis.judge.abort import AbortWatch

    return AbortWatch(run_directory, scenario, plan_phases(scenario)).broken


def judge_and_tell(
    run_directory: Path, baseline: Baseline | None, console: Console, policy: Policy, *, ended: Manifest | None = None
) -> ExitCode:
    """Judge a run directory, show verdict and report, and send notifications; returns the exit code."""
    from loadproof.analysis.outputs.ci.judged import Judged

    run, verdict = judge_and_show(run_directory, baseline, console, ended=ended)
    judged = Judged(run.manifest.scenario.name, run, verdict)
    report = run_directory / files.REPORT
    shown = report if report.exists() else run_directory
    policy.tell_all([judged], summary=run_directory / files.SUMMARY, report=shown)
    return judged.exit_code(lenient=policy.is_lenient)


def judge_and_show(
    run_directory: Path,
    baseline: Baseline | None,
    console: Console,
    *,
    ended: Manifest | None = None,
    beside_runs: Sequence[Judgement] = (),
) -> tuple[Run, Verdict]:
    """Judge a run directory, write what the analysis adds to it, and show it.

    `ended` is how a run has just ended; that run is INVALID if its verdict can't be written. For an earlier run that is
    an OutputError, and leaves its files as they are.
    """
    try:
        return _judge_and_show(run_directory, baseline, console, ended, beside_runs)
    except Exception as error:
        if not is_want_of_memory(error):
            raise
        raise out_of_memory(error, run_directory, has_measured=True) from None


def _judge_and_show(
    run_directory: Path,
    baseline: Baseline | None,
    console: Console,
    ended: Manifest | None,
    beside_runs: Sequence[Judgement],
) -> tuple[Run, Verdict]:
    from loadproof.analysis.frames.run import load_run
    from loadproof.analysis.judge.verdict import verdict_on_run
    from loadproof.analysis.outputs import tables
    from loadproof.analysis.outputs.selftesttext import selftest_line
    from loadproof.analysis.report.run_page import run_files

    run = load_run(run_directory, ended)
    before = baseline.run if baseline else None
    verdict = verdict_on_run(run, before, baseline.judgements(run) if baseline else beside_runs)
    try:
        files.write_all(run_files(run, verdict, before))
    except OutputError as error:
        if ended is None:
            raise
        verdict = _unwritten(run, verdict, error)
        for path, text in run_files(run, verdict, before).items():
            with suppress(OutputError):
                files.write_whole(path, text)
    console.print(tables.terminal_view(verdict))
    if ended is not None and (selftest := read_selftest(run_directory)):
        console.print(Text(selftest_line(selftest, run.manifest)), soft_wrap=True)
    report = run_directory / files.REPORT
    if report.exists():
        show_path(console, "report", report)
    return run, verdict


def judge_again(run: Run, beside_runs: Sequence[Judgement]) -> Verdict:
    """Rewrite the verdict with the judgements of several runs on thresholds relative to the baseline."""
    from loadproof.analysis.judge.verdict import verdict_on_run
    from loadproof.analysis.report.run_page import run_files

    verdict = verdict_on_run(run, beside_runs=beside_runs)
    files.write_all(run_files(run, verdict))
    return verdict


def _unwritten(run: Run, verdict: Verdict, error: OutputError) -> Verdict:
    from loadproof.analysis.judge.verdict import unwritten

    why = "; ".join(f"{Path(problem.where).name} {problem.what}" for problem in error.problems)
    again = shlex.join(["loadproof", "report", str(run.path)])
    return unwritten(verdict, f"the verdict's files are incomplete: {why}", f"free disk space, then `{again}`")


def show_path(console: Console, what: str, path: Path) -> None:
    """Print on one line, however narrow the terminal or the log: people copy it, and programs read it."""
    console.print(Text(escaped(f"{what}: {path}")), soft_wrap=True)


def holds_csvs(directory: Path) -> bool:
    """Whether it isn't a run directory, but a directory that was passed to Locust's --csv."""
    from loadproof.analysis.foreign.locust.csvset import csv_set

    return not (directory / files.MANIFEST).exists() and csv_set(directory).exists


def report_on_csvs(path: Path, thresholds: Path | None, out: Path | None, console: Console, policy: Policy) -> ExitCode:
    """Report on the CSVs with this prefix, with a verdict if there are thresholds; returns the exit code."""
    from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
    from loadproof.analysis.foreign.locust.thresholds import read_csv_thresholds, verdict_on_csvs
    from loadproof.analysis.outputs import locust
    from loadproof.analysis.report.locust_page import write_csv_report

    loaded = load_locust_run(path)
    directory = out or loaded.source.directory
    verdict = None
    if thresholds is not None:
        verdict = verdict_on_csvs(read_csv_thresholds(thresholds, loaded), loaded)
    examined = locust.examine(loaded, verdict)
    report_path = write_csv_report(examined, directory)
    console.print(locust.terminal(examined))
    show_path(console, "report", report_path)
    return _exit_code(loaded.name, verdict, report_path, policy)


def report_on_log(
    path: Path, unit: str | None, thresholds: Path | None, out: Path | None, console: Console, policy: Policy
) -> ExitCode:
    """Report on a request log, with a verdict if there are thresholds; returns the exit code.

    `unit` is that of its response times, if it is known.
    """
    from loadproof.analysis.foreign.logs.requestlog import read_log
    from loadproof.analysis.foreign.logs.thresholds import read_log_thresholds, verdict_on_log
    from loadproof.analysis.outputs.tables import terminal_view
    from loadproof.analysis.report import log_page

    log = read_log(path, unit)
    verdict = verdict_on_log(read_log_thresholds(thresholds, log), log) if thresholds else None
    report_path = log_page.write_log_report(log, verdict, out or path.parent)
    if verdict is not None:
        console.print(terminal_view(verdict))
    console.print(Text(escaped(log_page.log_facts(log))))
    show_path(console, "report", report_path)
    return _exit_code(path.name, verdict, report_path, policy)


def _exit_code(name: str, verdict: Verdict | None, report_path: Path, policy: Policy) -> ExitCode:
    """The exit code of a report that may have no verdict."""
    if verdict is None:
        return ExitCode.PASS
    from loadproof.analysis.outputs.ci.judged import Judged

    judged = Judged(name, verdict=verdict)
    summary = report_path.with_name(report_path.name.replace(files.REPORT, files.SUMMARY))
    policy.tell_all([judged], summary=summary, report=report_path)
    return judged.exit_code(lenient=policy.is_lenient)
