"""Judges a `LocustRun` by a file of thresholds, and refuses thresholds that such CSVs can't decide, with the reason."""

from __future__ import annotations

import difflib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.foreign.locust.doubts import doubts_of, later_of
from loadproof.analysis.foreign.locust.entries import AGGREGATED, SUM, Entry, together
from loadproof.analysis.foreign.locust.estimates import estimate_in
from loadproof.analysis.foreign.locust.nextsteps import csvs_next_step
from loadproof.analysis.foreign.texts import could_be
from loadproof.analysis.foreign.thresholdfile import read_thresholds, unread_text, unwatched_text
from loadproof.analysis.inert import shortened
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.judge.judgement import NOTHING_TO_JUDGE, Judgement, judge_estimate
from loadproof.analysis.judge.usercode import MOST_RAISED
from loadproof.analysis.judge.verdict import Verdict, all_hold, deciding_reason
from loadproof.analysis.word import Word, strongest
from loadproof.errors import printable
from loadproof.plan.evidence import samples_needed
from loadproof.scenario.mistake import Mistake
from loadproof.scenario.thresholds.vacuous import Longest, vacuity, wrong_way
from loadproof.units import Dimension, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from loadproof.analysis.foreign.locust.csvfiles import LocustRun
    from loadproof.analysis.foreign.locust.doubt import Doubt
    from loadproof.analysis.foreign.thresholdfile import FileThreshold

_TOLD: Final = frozenset({"p", "max", "mean", "error_ratio", "throughput", "count"})
_POSSIBLE: Final = "p(95), max, mean, error_ratio, throughput and count"
_IMPOSSIBLE: Final = {
    "goodput": "Locust's CSVs don't show which answers were correct and in time",
    "goodput_ratio": "Locust's CSVs don't show which answers were correct and in time",
    "burn_rate": "Locust's CSVs don't show which answers were correct and in time",
    "throttled_ratio": "Locust's CSVs don't tell a refusal from another failure",
    "rejected_ratio": "Locust's CSVs don't tell a refusal from another failure",
    "spread": "Locust's CSVs don't show when a single request was sent",
    "recovery": "Locust's CSVs don't show when a disturbance ended",
    "drift": "Locust's CSVs don't show which part of a run was meant to be steady",
}
_UNTOLD: Final = "Locust's CSVs don't show this"


def read_csv_thresholds(path: Path, run: LocustRun) -> tuple[FileThreshold, ...]:
    """Read a file of thresholds and check it against this run; InputError reports everything that is wrong with it."""
    return read_thresholds(path, lambda threshold: _refusals(threshold, run))


def verdict_on_csvs(thresholds: tuple[FileThreshold, ...], run: LocustRun) -> Verdict:
    """The verdict on these thresholds; never INVALID, because the CSVs don't show how the generator did."""
    of_rows = tuple(judge_entries(threshold, run) for threshold in thresholds)
    reading = [threshold for threshold in thresholds if threshold.expectation.metric.name == "error_ratio"]
    read = {id(entry): entry for threshold in reading for entry in entries_of(threshold, run)}
    judgements = tuple(
        _with_unread(judgement, threshold, read, run) for judgement, threshold in zip(of_rows, thresholds, strict=True)
    )
    findings = tuple(_raised(run))
    judged: tuple[Judgement | Finding, ...] = (*judgements, *findings)
    word = strongest(each.word for each in judged)
    deciding = [judgement for judgement in judgements if judgement.word is word]
    if word is Word.PASS:
        reason = sentence(f"{all_hold(len(judgements))}; {unwatched_text('these files')}")
    elif deciding:
        # No capital letter: it may begin with a name.
        reason = deciding_reason(deciding)
    else:
        reason = sentence(findings[0].what)
    is_doubtful = any(_pass_alone(thresholds, of_rows, run))
    step = csvs_next_step(
        deciding[0] if deciding else findings[0], is_doubtful=is_doubtful, is_unread=judgements != of_rows
    )
    return Verdict(word, f"{reason}.", step, judgements, findings)


def _raised(run: LocustRun) -> Iterator[Finding]:
    """A finding on many exceptions, as in a run of ours: a task cut short sends less than intended."""
    times, sent = sum(raised.count for raised in run.exceptions), run.total.requests if run.total else 0
    if times > MOST_RAISED * sent:
        first = shortened(run.exceptions[0].message) or "one without text"
        what = (
            f"the exceptions file has {times:,} exceptions from the users' own code for {sent:,} requests, "
            f"most often {first}"
        )
        yield Finding(Word.INCONCLUSIVE, what, "fix the locustfile; the exceptions file has its tracebacks")


def _pass_alone(
    thresholds: tuple[FileThreshold, ...], judgements: tuple[Judgement, ...], run: LocustRun
) -> Iterator[bool]:
    """For each INCONCLUSIVE judgement, whether its rows alone would pass: then more requests won't help."""
    for threshold, judgement in zip(thresholds, judgements, strict=True):
        rows = entries_of(threshold, run)
        if judgement.word is Word.INCONCLUSIVE and rows:
            yield _judge_entry(threshold, together(rows, threshold.scope)).word is Word.PASS


def _with_unread(
    judgement: Judgement, threshold: FileThreshold, read: Mapping[int, Entry], run: LocustRun
) -> Judgement:
    """INCONCLUSIVE, not PASS, if many of the requests it is about failed, and no threshold reads that.

    `read` are the rows, by id, whose failures a threshold reads. An INCONCLUSIVE one needs such a threshold first, and
    says so. For a PASS, what the rows lack counts, too, unless a threshold reads the same rows and has therefore
    counted it.
    """
    rows = entries_of(threshold, run)
    if judgement.word is Word.FAIL or id(run.total) in read:
        return judgement
    inside = read if rows == (run.total,) else read.keys() & set(map(id, rows))
    failed = sum(entry.failures for entry in rows) - sum(read[number].failures for number in inside)
    sent = sum(entry.requests for entry in rows)
    is_kept = judgement.word is Word.PASS
    knows_all = not is_kept or read.keys() >= set(map(id, rows))
    doubts = () if knows_all else doubts_of(rows, threshold.expectation, run)
    why = unread_text(failed, sent) or next(_unread_doubts(failed, sent, doubts), None)
    link = "but" if is_kept else "and"
    return replace(judgement, word=Word.INCONCLUSIVE, reason=f"{judgement.reason}; {link} {why}") if why else judgement


def _unread_doubts(failed: int, sent: int, doubts: Iterable[Doubt]) -> Iterator[str]:
    """The clause on each doubt that would make the failures too many; what is unknown altogether is left out."""
    for doubt in doubts:
        if math.isfinite(doubt.failures) and math.isfinite(doubt.requests):
            text = unread_text(failed + int(doubt.failures), sent + int(doubt.requests))
            if text:
                yield f"{doubt.why}; with them, {text}"


def judge_entries(threshold: FileThreshold, run: LocustRun) -> Judgement:
    """Judge one threshold. Without data it is INCONCLUSIVE, and so is a time whose limit is within Locust's rounding.

    The other files have to agree: it only passes if it would pass with everything that its rows may lack on the bad
    side.
    """
    expectation, rows = threshold.expectation, entries_of(threshold, run)
    name = SUM if run.total is not None and rows == (run.total,) and run.total.name == SUM else threshold.scope
    entry = together(rows, name) if rows else None
    judgement = _judge_entry(threshold, entry)
    if entry is None or judgement.estimate is None:
        return judgement
    later = later_of(rows, run)
    then = _judge_entry(threshold, later)
    if later is not None and then.estimate is not None and then.word is not judgement.word:
        return _judge_later(judgement, then, later)
    doubts = [
        doubt.why for doubt in doubts_of(rows, expectation, run) if doubt.turns(expectation, entry, then.estimate)
    ]
    if judgement.word is not Word.PASS or not doubts:
        return judgement
    return replace(judgement, word=Word.INCONCLUSIVE, reason="; but ".join((judgement.reason, *dict.fromkeys(doubts))))


def _judge_later(judgement: Judgement, then: Judgement, later: Entry) -> Judgement:
    """If two states get different verdicts, a FAIL of the later one decides; otherwise it is INCONCLUSIVE."""
    why = f"the history file continues beyond the stats file, to {later.requests:,} requests"
    if then.word is Word.FAIL:
        return replace(then, reason=f"{then.reason}; {why}")
    reason = f"{judgement.reason}; but {why}, and there it is {then.reason}"
    return replace(judgement, word=Word.INCONCLUSIVE, reason=reason)


def _judge_entry(threshold: FileThreshold, entry: Entry | None) -> Judgement:
    """Judge a threshold by these rows alone."""
    metric = threshold.expectation.metric
    estimate = estimate_in(entry, metric) if entry is not None else None
    if entry is None or estimate is None:
        return Judgement(threshold, Word.INCONCLUSIVE, None, NOTHING_TO_JUDGE)
    is_of_samples = metric.name == "error_ratio" or metric.quantile is not None
    needed = samples_needed(threshold.expectation) if is_of_samples else 0
    judgement = judge_estimate(threshold, estimate, needed=needed)
    if metric.dimension is Dimension.DURATION and entry.failures == entry.requests:
        judgement = judge_estimate(threshold, replace(estimate, warnings=()), needed=needed)
        reason = f"{judgement.reason}: every request failed, so these are the times of failures"
        return replace(judgement, word=Word.INCONCLUSIVE, reason=reason)
    return judgement


def entries_of(threshold: FileThreshold, run: LocustRun) -> tuple[Entry, ...]:
    """The rows that a threshold reads."""
    if not threshold.names and threshold.method is None:
        return () if run.total is None else (run.total,)
    named = [entry for name in threshold.names for entry in _rows_named(name, run)] if threshold.names else run.entries
    once = {id(entry): entry for entry in named}.values()
    return tuple(entry for entry in once if threshold.method in {None, entry.method})


def _rows_named(name: str, run: LocustRun) -> list[Entry]:
    """Rows with this name; else with this title (method and name, as in reports).

    Else rows whose name has these bytes in some code page.
    """
    return (
        [entry for entry in run.entries if entry.name == name]
        or [entry for entry in run.entries if entry.title == name]
        or [
            entry
            for entry in run.entries
            if could_be(name, entry.written) or could_be(name.removeprefix(f"{entry.method} "), entry.written)
        ]
    )


def _refusals(threshold: FileThreshold, run: LocustRun) -> Iterator[Mistake]:
    yield from _impossible(threshold, run)
    yield from _unmatched(threshold, run)


def _impossible(threshold: FileThreshold, run: LocustRun) -> Iterator[Mistake]:
    expectation = threshold.expectation
    metric = expectation.metric
    if metric.name not in _TOLD:
        yield Mistake(("expect",), _IMPOSSIBLE.get(metric.name, _UNTOLD), threshold.expect, f"they support {_POSSIBLE}")
    elif metric.quantile is not None and metric.quantile not in run.percentiles:
        columns = ", ".join(f"p({quantile * 100:.10g})" for quantile in run.percentiles) or "none"
        yield Mistake(
            ("expect",),
            "these CSVs have no such percentile of the entire run",
            threshold.expect,
            f"they have {columns}",
        )
    elif metric.quantile is not None and len(entries_of(threshold, run)) > 1:
        remedy = "name one endpoint, and its method where it has several"
        yield Mistake(
            ("expect",), "a percentile over several rows can't be computed from theirs", threshold.expect, remedy
        )
    if expectation.of_baseline or expectation.window_s is not None:
        yield Mistake(
            ("expect",), "Locust's totals cover an entire run", threshold.expect, "compare a metric with a limit"
        )
    if found := (metric.name in _TOLD and wrong_way(expectation)) or vacuity(expectation, Longest(math.inf)):
        yield Mistake(("expect",), found.what, threshold.expect, found.remedy)


def _unmatched(threshold: FileThreshold, run: LocustRun) -> Iterator[Mistake]:
    """Names and methods that no row has; none in a run without rows, where endpoints may just have had no requests."""
    if not run.entries:
        return
    methods_of: dict[str, set[str]] = {}
    for entry in run.entries:
        methods_of.setdefault(entry.name, set()).add(entry.method)
    if threshold.endpoint == []:
        yield Mistake(("endpoint",), "an empty list", None, "name one, or leave it out for all")
    for name in threshold.names:
        rows = _rows_named(name, run)
        if not rows:
            yield Mistake(("endpoint",), "no such name in the CSVs", name, _nearest(name, sorted(methods_of)))
        elif len(names := sorted({entry.name for entry in rows})) > 1:
            remedy = f"write it as it is shown: {' or '.join(map(printable, names))}"
            yield Mistake(
                ("endpoint",), "several names in the CSVs could be meant, each in another code page", name, remedy
            )
        elif threshold.method not in {None, *(entry.method for entry in rows)}:
            methods = ", ".join(map(printable, sorted({entry.method for entry in rows})))
            yield Mistake(
                ("method",), f"{printable(name)} has no such method in the CSVs", threshold.method, f"it has {methods}"
            )
    if not threshold.names and not entries_of(threshold, run):
        methods = ", ".join(map(printable, sorted({entry.method for entry in run.entries})))
        yield Mistake(("method",), "no such method in the CSVs", threshold.method, f"they have {methods}")


def _nearest(name: str, names: list[str]) -> str:
    """Up to three similar names, or some of those that exist."""
    if name == AGGREGATED:
        return "leave `endpoint` out, for all together"
    close = difflib.get_close_matches(name, names, n=3)
    if close:
        return f"did you mean {' or '.join(map(printable, close))}?"
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"there are {', '.join(map(printable, names[:5]))}{more}"
