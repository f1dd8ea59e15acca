"""Thresholds for a request log, and the judgement of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, StringConstraints

from analysis.estimates.metrics import Scope
from analysis.foreign.requestlog import PHASE, RequestLog
from analysis.judge.judgement import Answer, Judgement, Word
from analysis.judge.thresholds import judge_scope
from analysis.judge.verdict import PRECEDENCE, Verdict, outage_step, sentence, told
from loadproof.errors import InputError, Problem
from loadproof.scenario.expectation import Expectation, parse_expectation
from loadproof.scenario.scenario import ExpectationText  # noqa: TC001 - pydantic reads it
from loadproof.scenario.strict import Strict, nearest, read_document, validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
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
    first = thresholds[judgements.index(deciding[0])]
    return Verdict(word, f"{sentence(reason)}.", _next_step(deciding[0], first, log), judgements, findings=())


_NEXT_STEPS: Final = {
    Word.PASS: "Read in the report what a log can't show, before you rely on it.",
    Word.FAIL: "Look in the report when it began. Then mend the target, or correct the threshold.",
    Word.INCONCLUSIVE: "Log more requests, then judge again; nothing says yet that the target is at fault.",
}


def _next_step(judgement: Judgement, threshold: LogThreshold, log: RequestLog) -> str:
    outage = outage_step(judgement, log.run, _scope(threshold, log)) if judgement.word is not Word.PASS else None
    is_missed = judgement.in_this_run is Answer.MISSED
    return outage or _NEXT_STEPS[Word.FAIL if is_missed else judgement.word]


def _judge(threshold: LogThreshold, log: RequestLog) -> Judgement:
    return judge_scope(threshold, log.run, _scope(threshold, log))


def _scope(threshold: LogThreshold, log: RequestLog) -> Scope:
    return Scope((PHASE,), threshold.names or tuple(log.run.manifest.scenario.mix))
