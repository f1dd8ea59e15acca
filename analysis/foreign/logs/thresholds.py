"""Judges a request log by a file of thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.metrics import counted_in
from loadproof.analysis.estimates.scope import Scope, in_scope
from loadproof.analysis.foreign.logs.cells import PHASE
from loadproof.analysis.foreign.logs.leftout import left_out_of, with_untimed
from loadproof.analysis.foreign.logs.requestlog import in_seconds
from loadproof.analysis.foreign.texts import could_be
from loadproof.analysis.foreign.thresholdfile import read_thresholds, unread_text, unwatched_text
from loadproof.analysis.frames.cellsums import among
from loadproof.analysis.judge.judgement import Compliance, Judgement
from loadproof.analysis.judge.nextstep import outage_step
from loadproof.analysis.judge.thresholds import judge_scope
from loadproof.analysis.judge.verdict import Verdict, all_hold, deciding_reason
from loadproof.analysis.word import Word, strongest
from loadproof.errors import printable
from loadproof.histogram import BUCKETS
from loadproof.outcome import ERRORS, Outcome
from loadproof.scenario.mistake import Mistake
from loadproof.scenario.strict import nearest
from loadproof.scenario.thresholds.metrics import ANSWERED, SENT
from loadproof.scenario.thresholds.vacuous import vacuity, wrong_way
from loadproof.units import Dimension, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

    from loadproof.analysis.foreign.logs.requestlog import RequestLog
    from loadproof.analysis.foreign.thresholdfile import FileThreshold
    from loadproof.scenario.thresholds.expectation import Expectation, Metric
    from loadproof.scenario.thresholds.metrics import Kind


_TOLD: Final = frozenset({*SENT.series, *ANSWERED.series})
"""The series that a log shows: each answer's time and, by its status, its outcome."""
_UNKNOWN: Final = "a log doesn't show what was planned, or which answers were correct and in time"


def read_log_thresholds(path: Path, log: RequestLog) -> tuple[FileThreshold, ...]:
    """Read a file of thresholds and check it against this log; InputError reports everything that is wrong with it."""
    return read_thresholds(path, lambda threshold: _refusals(threshold, log))


def _refusals(threshold: FileThreshold, log: RequestLog) -> Iterator[Mistake]:
    expectation = threshold.expectation
    if not _is_told(expectation.metric.kind) or expectation.of_baseline:
        yield Mistake(
            ("expect",), _UNKNOWN, threshold.expect, "use p(95), max, mean, error_ratio, throttled_ratio or throughput"
        )
    elif found := wrong_way(expectation) or vacuity(expectation):
        yield Mistake(("expect",), found.what, threshold.expect, found.remedy)
    if threshold.method is not None:
        yield Mistake(
            ("method",), "a log has no methods", threshold.method, "remove it, or put the method into the names"
        )
    if threshold.endpoint == []:
        yield Mistake(("endpoint",), "an empty list", None, "name one, or leave it out for all")
    for name in threshold.names:
        names = _names_of(name, log)
        if not names:
            yield Mistake(("endpoint",), "no such name in the log", name, nearest(name, list(log.written)))
        elif len(names) > 1:
            remedy = f"write it as it is shown: {' or '.join(map(printable, names))}"
            yield Mistake(
                ("endpoint",), "several names in the log could be meant, each in another code page", name, remedy
            )


def _is_told(kind: Kind) -> bool:
    counted = [each for each in (kind.counted, kind.out_of) if each is not None]
    return kind.reads_times or (bool(counted) and all(_TOLD.issuperset(each.series) for each in counted))


def _names_of(name: str, log: RequestLog) -> list[str]:
    """This name if it is shown like that, or else the names that have its bytes in some code page."""
    return [name] if name in log.written else [shown for shown, cell in log.written.items() if could_be(name, cell)]


def verdict_on_log(thresholds: tuple[FileThreshold, ...], log: RequestLog) -> Verdict:
    """The verdict on these thresholds; never INVALID, because a log doesn't show how the generator did."""
    unread = _unread(thresholds, log)
    judged = [_judge_threshold(threshold, log, unread) for threshold in thresholds]
    judgements = tuple(each.judgement for each in judged)
    word = strongest(judgement.word for judgement in judgements)
    deciding = [judgement for judgement in judgements if judgement.word is word]
    if word is Word.PASS:
        reason = f"{all_hold(len(judgements))}; {unwatched_text('a log')}"
    else:
        reason = deciding_reason(deciding)
    place = judgements.index(deciding[0])
    next_step = judged[place].remedy or _next_step(deciding[0], thresholds[place], log)
    return Verdict(word, f"{sentence(reason)}.", next_step, judgements, findings=())


@dataclass(frozen=True)
class _Judged:
    judgement: Judgement
    remedy: str | None = None
    """How to fix the log; None if the log isn't why nothing was decided."""


_NEXT_STEPS: Final = {
    Word.PASS: "Before you rely on it, read the report on what a log can't show.",
    Word.FAIL: "Check the report for when it began. Then fix the target, or correct the threshold.",
    Word.INCONCLUSIVE: "Log more requests, then judge again; so far nothing shows that the target is at fault.",
}


def _next_step(judgement: Judgement, threshold: FileThreshold, log: RequestLog) -> str:
    outage = outage_step(judgement, log.traffic, _scope(threshold, log)) if judgement.word is not Word.PASS else None
    is_missed = judgement.in_this_run is Compliance.MISSED
    return outage or _NEXT_STEPS[Word.FAIL if is_missed else judgement.word]


@dataclass(frozen=True)
class _Unread:
    rows: pd.DataFrame
    """The log's rows of requests that failed or were refused, without those that a ratio of some threshold counts."""
    sent: pd.DataFrame
    """Its rows of all requests."""
    endpoints: frozenset[str]
    """The endpoints whose errors no threshold counts, and therefore no line that was left out."""

    def text(self, log: RequestLog, scope: Scope, *, with_lines: bool = False) -> str | None:
        """The clause on failures in this scope that no threshold reads; None if there are few.

        With `with_lines`, whatever lines could not be read count as failures, too.
        """
        lines = 0
        if with_lines and not self.endpoints.isdisjoint(scope.endpoints):
            lines = left_out_of(log, scope.endpoints, with_untimed=False, window_s=None).count
        failed = int(in_scope(self.rows, scope)["count"].sum())
        if not failed + lines:
            return None
        return unread_text(failed, int(in_scope(self.sent, scope)["count"].sum()), unreadable=lines)


def _unread(thresholds: tuple[FileThreshold, ...], log: RequestLog) -> _Unread:
    endpoints = frozenset(log.written)
    sent = counted_in(with_untimed(log).intervals, SENT)
    rows = sent[~among(sent["outcome"], (Outcome.OK,))]
    for threshold in thresholds:
        kind = threshold.expectation.metric.kind
        if kind.is_ratio and kind.counted is not None and kind.counted.outcomes is not None:
            read = _scope(threshold, log).endpoints
            rows = rows[~(among(rows["endpoint"], read) & among(rows["outcome"], kind.counted.outcomes))]
            endpoints -= set(read if kind.counted.outcomes == ERRORS else ())
    return _Unread(rows, sent, endpoints)


def _judge_threshold(threshold: FileThreshold, log: RequestLog, unread: _Unread) -> _Judged:
    """PASS or FAIL only if it would stay the same with every line that was left out on the other side.

    Joined logs of several runs never PASS, because one of the runs may have violated the threshold. Nor do a log's
    other requests, however fast, if many failed and no threshold reads that.
    """
    scope, metric = _scope(threshold, log), threshold.expectation.metric
    is_time = metric.dimension is Dimension.DURATION
    traffic = log.traffic if is_time else with_untimed(log)
    judgement = judge_scope(threshold, traffic, scope)
    if judgement.word not in {Word.PASS, Word.FAIL}:
        return _with_unread(judgement, unread.text(log, scope))
    is_kept = judgement.word is Word.PASS
    if is_kept and (doubt := _doubt(threshold, log, unread)):
        why, remedy = doubt
        return _Judged(_undecided(judgement, why), remedy)
    window_s = threshold.expectation.window_s
    left_out = left_out_of(log, scope.endpoints, with_untimed=is_time, window_s=window_s)
    if not left_out.count:
        return _Judged(judgement)
    rows = _bad_rows(threshold.expectation) if is_kept else _good_rows(threshold.expectation)
    if judge_scope(threshold, left_out.added(traffic, rows), scope).word is not judgement.word:
        return _Judged(_undecided(judgement, f"{left_out.why}, which could change the outcome"), _MEND)
    if is_kept and (clause := unread.text(log, scope, with_lines=True)):
        return _Judged(_undecided(judgement, clause), _MEND)
    return _Judged(judgement)


def _doubt(threshold: FileThreshold, log: RequestLog, unread: _Unread) -> tuple[str, str] | None:
    """Why a threshold that was met need not have been, or says too little, and the remedy; None if neither."""
    if log.restarts:
        return "the log's times begin again, as where several runs were joined", _APART
    scope = _scope(threshold, log)
    is_time = threshold.expectation.metric.dimension is Dimension.DURATION
    if is_time and log.may_be_seconds and judge_scope(threshold, in_seconds(log), scope).word is not Word.PASS:
        return "`response_ms` may be in seconds, where this would not hold", _SAY_UNIT
    why = unread.text(log, scope)
    return (why, _READ_ALL) if why else None


_APART: Final = "Judge each run's log alone; if it is a single run, sort its lines by time. Then judge again."
_SAY_UNIT: Final = "Judge again with `--response-unit s` or `--response-unit ms`, whichever the log's times are in."
_READ_ALL: Final = (
    "Add `expect: error_ratio < 1 %`, and for refusals `throttled_ratio` or `rejected_ratio`, then judge again."
)
_MEND: Final = "Fix what could not be read in the log, then judge again: more requests don't decide it."


def _with_unread(judgement: Judgement, why: str | None) -> _Judged:
    """An INCONCLUSIVE judgement needs a threshold on failures first, unless the target has missed its limit anyway."""
    if why is None:
        return _Judged(judgement)
    is_missed = judgement.in_this_run is Compliance.MISSED
    return _Judged(replace(judgement, reason=f"{judgement.reason}; and {why}"), None if is_missed else _READ_ALL)


def _undecided(judgement: Judgement, why: str) -> Judgement:
    """The judgement as INCONCLUSIVE, both for this run and for the next."""
    return replace(
        judgement,
        word=Word.INCONCLUSIVE,
        reason=f"{judgement.reason}; but {why}",
        in_this_run=judgement.in_this_run and Compliance.UNSURE,
        next_time=judgement.next_time and Compliance.UNSURE,
    )


_OK_ROWS: Final = tuple((series, Outcome.OK, 0) for series in ("response", "completed", "good"))
"""Series, outcome and bucket of the rows of a good request."""
_Rows = tuple[tuple[str, Outcome, int], ...]


def _wants_refusals(expectation: Expectation) -> bool:
    """Whether it is a test of a limiter: a ratio of refusals that should be high."""
    return not expectation.wants_low and not expectation.metric.kind.should_be_high


def _good_rows(expectation: Expectation) -> _Rows:
    """Rows of a request that can only help."""
    return _counted_rows(expectation.metric) if _wants_refusals(expectation) else _OK_ROWS


def _bad_rows(expectation: Expectation) -> _Rows:
    """Rows of a request that can only harm; none if the metric should be high, as more requests never lower a rate."""
    if _wants_refusals(expectation):
        return _OK_ROWS
    return () if expectation.metric.kind.should_be_high else _counted_rows(expectation.metric)


def _counted_rows(metric: Metric) -> _Rows:
    outcomes = (metric.kind.counted and metric.kind.counted.outcomes) or {Outcome.OK}
    return (("response", min(outcomes), BUCKETS - 1),)


def _scope(threshold: FileThreshold, log: RequestLog) -> Scope:
    names = [shown for name in threshold.names for shown in _names_of(name, log)]
    return Scope((PHASE,), tuple(names or log.written))
