"""What the command line asks of the analysis, which is loaded when it is asked: pandas and matplotlib take seconds."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.text import Text

from loadproof import rundir
from loadproof.errors import ExitCode, escaped
from loadproof.plan import plan_phases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from analysis.frames import Run
    from analysis.gate import Gated
    from analysis.verdict import Verdict
    from loadproof.runner import Broken
    from loadproof.scenario import Scenario


@dataclass(frozen=True)
class Policy:
    """What a CI server is to make of verdicts."""

    inconclusive: Literal["fail", "pass"]
    annotate: Literal["github"] | None

    @property
    def is_lenient(self) -> bool:
        return self.inconclusive == "pass"

    def tell_ci(self, gated: Sequence[Gated], summary: Path | None) -> None:
        """Each threshold that did not pass, and the summary for the page of a workflow's run."""
        if self.annotate is None:
            return
        from analysis.gate import github_annotations

        for command in github_annotations(gated, lenient=self.is_lenient):
            sys.stdout.write(f"{command}\n")
        shown = os.environ.get("GITHUB_STEP_SUMMARY")
        if shown and summary:
            with Path(shown).open("a", encoding="utf-8") as file:
                file.write(summary.read_text(encoding="utf-8"))


def load_baseline(path: Path | None, scenario: Scenario) -> Run | None:
    """Read before a run, not after it: a wrong one must not cost it its verdict."""
    if path is None:
        return None
    from analysis import baseline

    return baseline.load_baseline(path, scenario)


def judge_so_far(run_directory: Path) -> str:
    """A word on the thresholds while the run goes on: '4 pass, 1 fails, 3 open'."""
    from analysis.frames import load_run
    from analysis.judgement import Word
    from analysis.thresholds import judge

    loaded = load_run(run_directory)
    words = [judge(threshold, loaded).word for threshold in loaded.manifest.scenario.thresholds]
    counts = {"pass": words.count(Word.PASS), "fail": words.count(Word.FAIL)}
    counts["open"] = len(words) - sum(counts.values())
    return "thresholds so far: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def watch_for_abort(run_directory: Path, scenario: Scenario) -> Broken:
    """What ends the run early: a threshold with `abort: true`."""
    if not any(threshold.abort for threshold in scenario.thresholds):
        return lambda _: None
    from analysis.abort import AbortWatch

    return AbortWatch(run_directory, scenario, plan_phases(scenario)).broken


def judge(run_directory: Path, baseline: Run | None, console: Console, policy: Policy) -> ExitCode:
    """Verdict and report of a run directory; the exit code."""
    from analysis.gate import Gated

    run, verdict = judged(run_directory, baseline, console)
    gated = Gated(run.manifest.scenario.name, run, verdict)
    policy.tell_ci([gated], run_directory / rundir.SUMMARY)
    return gated.exit_code(lenient=policy.is_lenient)


def judged(run_directory: Path, baseline: Run | None, console: Console) -> tuple[Run, Verdict]:
    """Judge a run directory, write what the analysis adds to it, and show it."""
    from analysis import outputs
    from analysis.frames import load_run
    from analysis.report import write_report
    from analysis.verdict import decide

    run = load_run(run_directory)
    verdict = decide(run, baseline)
    outputs.write_outputs(run, verdict, baseline)
    write_report(run, verdict, baseline)
    console.print(outputs.terminal_view(verdict))
    console.print(Text(f"report: {run_directory / rundir.REPORT}"))
    return run, verdict


def report_on_csvs(path: Path, thresholds: Path | None, out: Path | None, console: Console, policy: Policy) -> ExitCode:
    """Report, and with thresholds a verdict, on the CSVs of a prefix; the exit code."""
    from analysis import locustoutputs, locustthresholds
    from analysis.locustcsv import load_locust_run, prefix_of
    from analysis.locustreport import write_report

    prefix = prefix_of(path)
    loaded = load_locust_run(prefix)
    verdict = None
    if thresholds is not None:
        verdict = locustthresholds.decide(locustthresholds.load_thresholds(thresholds, loaded), loaded)
    examined = locustoutputs.examine(loaded, verdict)
    locustoutputs.write_outputs(examined, out or prefix.parent)
    report_path = write_report(examined, out or prefix.parent)
    console.print(locustoutputs.terminal(examined))
    console.print(Text(escaped(f"report: {report_path}")))
    return _told(prefix.name, verdict, report_path, policy)


def report_on_log(path: Path, thresholds: Path | None, out: Path | None, console: Console, policy: Policy) -> ExitCode:
    """Report, and with thresholds a verdict, on a log of requests; the exit code."""
    from analysis import logreport
    from analysis.outputs import terminal_view
    from analysis.requestlog import read_log

    log = read_log(path)
    verdict = logreport.decide(logreport.load_thresholds(thresholds, log), log) if thresholds else None
    report_path = logreport.write_outputs(log, verdict, out or path.parent)
    console.print(Text(escaped(logreport.facts(log))) if verdict is None else terminal_view(verdict))
    console.print(Text(escaped(f"report: {report_path}")))
    return _told(path.name, verdict, report_path, policy)


def _told(name: str, verdict: Verdict | None, report_path: Path, policy: Policy) -> ExitCode:
    """Of a report that may have no verdict."""
    if verdict is None:
        return ExitCode.PASS
    from analysis.gate import Gated

    gated = Gated(name, verdict=verdict)
    policy.tell_ci([gated], report_path.with_name(report_path.name.replace(rundir.REPORT, rundir.SUMMARY)))
    return gated.exit_code(lenient=policy.is_lenient)
