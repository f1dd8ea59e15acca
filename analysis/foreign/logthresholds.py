"""Thresholds for a request log, and the judgement of each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, StringConstraints

from analysis.estimates.metrics import Scope
from analysis.foreign.leftout import left_out_of, with_untimed
from analysis.foreign.requestlog import PHASE, RequestLog
from analysis.foreign.texts import could_be
from analysis.foreign.thresholdfile import Thresholds, read_thresholds
from analysis.judge.judgement import Answer, Judgement, Word
from analysis.judge.thresholds import judge_scope
from analysis.judge.verdict import PRECEDENCE, Verdict, outage_step, sentence, told
from loadproof.errors import printable
from loadproof.histogram import BUCKETS
from loadproof.outcome import Outcome
from loadproof.scenario.expectation import Expectation, parse_expectation
from loadproof.scenario.scenario import ExpectationText  # noqa: TC001 - pydantic reads it
from loadproof.scenario.strict import Strict, nearest
from loadproof.scenario.vacuous import vacuity
from loadproof.units import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from analysis.foreign.thresholdfile import Refusal
    from loadproof.scenario.expectation import Metric


_Name = Annotated[str, StringConstraints(max_length=10_000)]
"""Any text, an empty one, too."""
_IMPOSSIBLE: Final = frozenset({"goodput", "goodput_ratio", "burn_rate", "spread", "recovery", "drift"})
_UNKNOWN: Final = "a log doesn't show what was planned, or which answers were correct and in time"


class LogThreshold(Strict):
    """What has to hold of the requests of these names, taken together; of all if none is named."""

    expect: ExpectationText = Field(examples=["p(95) < 200 ms"])
    endpoint: _Name | list[_Name] | None = Field(None, description="As in the column name.")

    @property
    def expectation(self) -> Expectation:
        return parse_expectation(self.expect)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.endpoint,) if isinstance(self.endpoint, str) else tuple(self.endpoint or ())

    @property
    def scope(self) -> str:
        return " + ".join(name or "''" for name in self.names) or "all endpoints"


def load_thresholds(path: Path, log: RequestLog) -> tuple[LogThreshold, ...]:
    """Read and check a file of thresholds; InputError tells at once all that is wrong with it for this log."""
    return read_thresholds(path, Thresholds[LogThreshold], lambda threshold: _refusals(threshold, log))


def _refusals(threshold: LogThreshold, log: RequestLog) -> Iterator[Refusal]:
    expectation = threshold.expectation
    if expectation.metric.name in _IMPOSSIBLE or expectation.of_baseline:
        yield "expect", _UNKNOWN, threshold.expect, "use p(95), max, mean, error_ratio, throttled_ratio or throughput"
    elif expectation.metric.name in {"throughput", "count"} and expectation.wants_low:
        yield "expect", "an upper limit on a value that should be high", threshold.expect, "use >="
    elif found := vacuity(expectation):
        yield "expect", found.what, threshold.expect, found.remedy
    if threshold.endpoint == []:
        yield "endpoint", "an empty list", None, "name one, or leave it out for all"
    for name in threshold.names:
        names = _names_of(name, log)
        if not names:
            yield "endpoint", "no such name in the log", name, nearest(name, list(log.written))
        elif len(names) > 1:
            remedy = f"write it as it is shown: {' or '.join(map(printable, names))}"
            yield "endpoint", "several names in the log could be meant, each in another code page", name, remedy


def _names_of(name: str, log: RequestLog) -> list[str]:
    """This one as it is shown, or else those that are, in some code page, written with its bytes."""
    return [name] if name in log.written else [shown for shown, cell in log.written.items() if could_be(name, cell)]


def decide(thresholds: tuple[LogThreshold, ...], log: RequestLog) -> Verdict:
    """The verdict on these thresholds; never INVALID, for nothing here tells how the generator did."""
    judgements = tuple(_judge(threshold, log) for threshold in thresholds)
    word = next(word for word in PRECEDENCE if word in {judgement.word for judgement in judgements})
    deciding = [judgement for judgement in judgements if judgement.word is word]
    if word is Word.PASS:
        reason = f"all {len(judgements)} thresholds hold; a log can't show whether the generator kept up"
    else:
        reason = told(deciding)
    first = thresholds[judgements.index(deciding[0])]
    return Verdict(word, f"{sentence(reason)}.", _next_step(deciding[0], first, log), judgements, findings=())


_NEXT_STEPS: Final = {
    Word.PASS: "Before you rely on it, read in the report what a log can't show.",
    Word.FAIL: "See in the report when it began. Then fix the target, or correct the threshold.",
    Word.INCONCLUSIVE: "Log more requests, then judge again; so far nothing shows that the target is at fault.",
}


def _next_step(judgement: Judgement, threshold: LogThreshold, log: RequestLog) -> str:
    outage = outage_step(judgement, log.run, _scope(threshold, log)) if judgement.word is not Word.PASS else None
    is_missed = judgement.in_this_run is Answer.MISSED
    return outage or _NEXT_STEPS[Word.FAIL if is_missed else judgement.word]


def _judge(threshold: LogThreshold, log: RequestLog) -> Judgement:
    """PASS and FAIL only where they would stay, had every line that was left out been on the other side."""
    scope, metric = _scope(threshold, log), threshold.expectation.metric
    is_time = metric.dimension is Dimension.DURATION
    run = log.run if is_time else with_untimed(log)
    judgement = judge_scope(threshold, run, scope)
    if judgement.word not in {Word.PASS, Word.FAIL}:
        return judgement
    window_s = threshold.expectation.window_s
    left_out = left_out_of(log, scope.endpoints, with_untimed=is_time, window_s=window_s)
    if not left_out.count:
        return judgement
    is_kept = judgement.word is Word.PASS
    other = judge_scope(threshold, left_out.added(run, _bad_rows(metric) if is_kept else _GOOD_ROWS), scope)
    if other.word is judgement.word:
        return judgement
    reason = f"{judgement.reason}; but {left_out.why}, which could change the outcome"
    return replace(judgement, word=Word.INCONCLUSIVE, reason=reason)


_GOOD_ROWS: Final = tuple((series, Outcome.OK, 0) for series in ("response", "completed", "good"))
"""Series, outcome and bucket of a request that can only help."""
_BAD_OUTCOMES: Final = {
    "error_ratio": Outcome.SERVER_ERROR,
    "throttled_ratio": Outcome.THROTTLED,
    "rejected_ratio": Outcome.REJECTED,
}


def _bad_rows(metric: Metric) -> tuple[tuple[str, Outcome, int], ...]:
    """Of one that can only harm; more of them never lower a rate, so that there it is none."""
    if metric.name in {"throughput", "count"}:
        return ()
    return (("response", _BAD_OUTCOMES.get(metric.name, Outcome.OK), BUCKETS - 1),)


def _scope(threshold: LogThreshold, log: RequestLog) -> Scope:
    names = [shown for name in threshold.names for shown in _names_of(name, log)]
    return Scope((PHASE,), tuple(names or log.written))
