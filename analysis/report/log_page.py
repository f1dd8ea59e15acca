"""A request log and its thresholds, if any, to a verdict and a page: NAME_report.html, NAME_verdict.json and more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, StringConstraints

from analysis.estimates.metrics import Scope, busiest, measure, summary
from analysis.foreign.requestlog import PHASE, RequestLog
from analysis.judge.judgement import Judgement, Word, judge_estimate
from analysis.judge.verdict import PRECEDENCE, Verdict, sentence, told
from analysis.judge.windows import judge_windows
from analysis.outputs.tables import junit_suite, markdown_thresholds
from analysis.outputs.verdictfile import FORMAT, row_json, threshold_json
from analysis.report import charts
from analysis.report.page import TEMPLATES, threshold_row
from loadproof.errors import InputError, Problem
from loadproof.outcome import Outcome
from loadproof.plan.decidability import samples_needed
from loadproof.rundir import files
from loadproof.scenario.expectation import Expectation, parse_expectation
from loadproof.scenario.scenario import ExpectationText  # noqa: TC001 - pydantic reads it
from loadproof.scenario.strict import Strict, nearest, read_document, validate
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from analysis.estimates.metrics import SummaryRow

_Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
_MOST_ROWS: Final = 50
_IMPOSSIBLE: Final = frozenset({"goodput", "goodput_ratio", "burn_rate", "spread", "recovery", "drift"})
_UNKNOWN: Final = "a log doesn't tell what was planned, or which answers were correct and in time"


class LogThreshold(Strict):
    """What has to hold of the requests of these names, taken together; of all if none is named."""

    expect: ExpectationText = Field(examples=["p(95) < 200 ms"])
    endpoint: _Text | list[_Text] | None = Field(None, description="As in the column name.")

    @property
    def expectation(self) -> Expectation:
        return parse_expectation(self.expect)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.endpoint,) if isinstance(self.endpoint, str) else tuple(self.endpoint or ())

    @property
    def scope(self) -> str:
        return " + ".join(self.names) or "all endpoints"


class LogThresholds(Strict):
    thresholds: Annotated[list[LogThreshold], Field(min_length=1, max_length=200)]


def load_thresholds(path: Path, log: RequestLog) -> tuple[LogThreshold, ...]:
    """Read and check a file of thresholds; InputError tells at once all that is wrong with it for this log."""
    document = read_document(path)
    thresholds = validate(LogThresholds, document).thresholds
    problems = [
        Problem(document.where(("thresholds", number, key)), what, remedy, got=got)
        for number, threshold in enumerate(thresholds)
        for key, what, got, remedy in _problems(threshold, log)
    ]
    if problems:
        raise InputError(problems)
    return tuple(thresholds)


def _problems(threshold: LogThreshold, log: RequestLog) -> Iterator[tuple[str, str, str, str]]:
    expectation = threshold.expectation
    if expectation.metric.name in _IMPOSSIBLE or expectation.of_baseline:
        yield "expect", _UNKNOWN, threshold.expect, "use p(95), max, mean, error_ratio, throttled_ratio or throughput"
    names = list(log.run.manifest.scenario.mix)
    for name in threshold.names:
        if name not in names:
            yield "endpoint", "no such name in the log", name, nearest(name, names)


def decide(thresholds: tuple[LogThreshold, ...], log: RequestLog) -> Verdict:
    """The verdict on these thresholds; never INVALID, for nothing here tells how the generator did."""
    judgements = tuple(_judge(threshold, log) for threshold in thresholds)
    word = next(word for word in PRECEDENCE if word in {judgement.word for judgement in judgements})
    deciding = [judgement for judgement in judgements if judgement.word is word]
    if word is Word.PASS:
        reason = f"all {len(judgements)} thresholds hold; whether the generator kept up, a log doesn't tell"
    else:
        reason = told(deciding)
    return Verdict(word, f"{sentence(reason)}.", _NEXT_STEPS[word], judgements, findings=())


_NEXT_STEPS: Final = {
    Word.PASS: "Read in the report what a log can't show, before you rely on it.",
    Word.FAIL: "Look in the report when it began. Then mend the target, or correct the threshold.",
    Word.INCONCLUSIVE: "Log more requests, then judge again; nothing says yet that the target is at fault.",
}


def _judge(threshold: LogThreshold, log: RequestLog) -> Judgement:
    names = threshold.names or tuple(log.run.manifest.scenario.mix)
    scope = Scope((PHASE,), names)
    if threshold.expectation.window_s is not None:
        return judge_windows(threshold, log.run, scope)
    estimate = measure(threshold.expectation.metric, log.run, scope)
    if estimate is None:
        return Judgement(threshold, Word.INCONCLUSIVE, None, "no samples: nothing to judge")
    return judge_estimate(threshold, estimate, needed=samples_needed(threshold.expectation))


def write_outputs(log: RequestLog, verdict: Verdict | None, directory: Path) -> Path:
    """The page, and verdict.json, summary.md and junit.xml; the page's path. OutputError when they can't be written."""
    rows = summary(log.run, tuple(busiest(log.run, _MOST_ROWS)))
    stem = log.run.manifest.scenario.name
    texts = {files.REPORT: _page(log, verdict, rows), files.VERDICT: _json(log, verdict, rows)}
    if verdict is not None:
        texts[files.SUMMARY] = "\n".join([f"## {verdict.word}: {stem}", "", *markdown_thresholds(verdict), ""])
        texts[files.JUNIT] = junit_suite(stem, verdict)
    files.make_directory(directory)
    for name, text in texts.items():
        files.write_whole(directory / f"{stem}_{name}", text)
    return directory / f"{stem}_{files.REPORT}"


def facts(log: RequestLog) -> str:
    """One sentence."""
    lasted_s = log.run.measured_s
    left_out = f"; {_several(log.unreadable, 'line')} left out" if log.unreadable else ""
    coarse = "; times are good to 1.6 %, for there are so many" if log.is_coarse else ""
    return (
        f"{_several(log.requests, 'request')} of {_several(len(log.run.manifest.scenario.mix), 'kind')} "
        f"in {format_duration(lasted_s)}, "
        f"{log.requests / lasted_s:,.1f} per second{left_out}{coarse}."
    )


def _several(n: int, name: str) -> str:
    return f"{n:,} {name}{'' if n == 1 else 's'}"


def _page(log: RequestLog, verdict: Verdict | None, rows: list[SummaryRow]) -> str:
    run = log.run
    return TEMPLATES.get_template("log.html").render(
        name=run.manifest.scenario.name,
        verdict=verdict,
        facts=facts(log),
        thresholds=[threshold_row(judgement) for judgement in verdict.judgements] if verdict else [],
        load_chart=charts.throughput_chart(run),
        heat_chart=charts.heat_chart(run),
        endpoints_chart=charts.endpoints_chart(run),
        spectrum_chart=charts.spectrum_chart(run),
        outcomes_chart=charts.outcomes_chart(run),
        outcomes=list(Outcome),
        rows=[_cells(row) for row in rows],
        rows_left=max(0, len(run.manifest.scenario.mix) - _MOST_ROWS),
    )


def _cells(row: SummaryRow) -> dict[str, object]:
    times = [format_duration(estimate.value) if estimate else "–" for estimate in row.response.values()]
    return {
        "name": row.endpoint,
        "numbers": [f"{row.throughput_rps:.1f}", *times],
        "outcomes": [row.tally.outcomes[outcome] for outcome in Outcome],
    }


def _json(log: RequestLog, verdict: Verdict | None, rows: list[SummaryRow]) -> str:
    content = {
        "format": FORMAT,
        "verdict": verdict.word if verdict else None,
        "reason": verdict.reason if verdict else None,
        "requests": log.requests,
        "unreadable": log.unreadable,
        "thresholds": [threshold_json(judgement) for judgement in verdict.judgements] if verdict else [],
        "summary": [row_json(row) for row in rows],
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
