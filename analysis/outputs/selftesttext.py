"""Describes a self-test's results, and whether they still hold, in sentences for the terminal and for reports."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.estimate import ratio_estimate
from loadproof.analysis.outputs.dates import date_text
from loadproof.rundir.selftest import read_selftest
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from loadproof.rundir.manifest import Manifest
    from loadproof.rundir.selftest import HitRate, MeasuredChange, SelfTest

OLD_DAYS: Final = 30
_DAY_S: Final = 86_400
_OF_MACHINE: Final = ("cpu", "cores", "memory", "system")


def selftest_note(run: Path, manifest: Manifest) -> list[str]:
    """All results of the machine's self-test, if the run has one, and why they may no longer hold."""
    selftest = read_selftest(run)
    if selftest is None:
        return []
    doubtful = doubt(selftest, manifest.host, manifest.start_unix_s)
    return [*sentences(selftest), *([f"Note: {doubtful}."] if doubtful else [])]


def selftest_line(selftest: SelfTest, manifest: Manifest) -> str:
    """The line below a run's verdict."""
    wrong = _wrong(selftest)
    n = sum(rate.n for rate in selftest.rates)
    answers = f"{n} of {n} answers right" if not wrong else f"{wrong} of {n} answers WRONG"
    if untried := _untried(selftest):
        answers += f", {untried} not tried"
    doubtful = doubt(selftest, manifest.host, manifest.start_unix_s)
    return f"self-test of {_day(selftest)}: {doubtful or f'{_ceiling(selftest)}, {answers}'}"


def doubt(selftest: SelfTest, host: Mapping[str, str], at_unix_s: float) -> str:
    """Why a self-test may no longer hold for a run at this time on this machine; empty if it does."""
    changed = [name for name in _OF_MACHINE if selftest.host.get(name) != host.get(name)]
    if changed:
        return f"the machine has changed since ({', '.join(changed)}): run `loadproof selftest` again"
    days = (at_unix_s - selftest.measured_unix_s) / _DAY_S
    return f"it is {days:.0f} days old; run `loadproof selftest` again" if days > OLD_DAYS else ""


def sentences(selftest: SelfTest) -> Iterator[str]:
    """All of its results, one sentence each; rates with n and interval."""
    yield f"Self-test of {_day(selftest)}: {_ceiling(selftest)}."
    if selftest.lag_rps:
        p50, p99 = format_duration(selftest.lag_p50_s), format_duration(selftest.lag_p99_s)
        yield f"Start lag at {selftest.lag_rps:,.0f} requests/s: {p50} at p50, {p99} at p99."
    yield from map(_rate, selftest.rates)
    if selftest.same:
        yield f"Two groups of runs of the same server differed in p(95) by {_change(selftest.same)}."
    if selftest.planted:
        was = f"A server that takes {selftest.planted_ratio:.0%} longer was measured as {_change(selftest.planted)}"
        yield f"{was}."
    if selftest.accuracy:
        parts = [
            f"p{one.quantile * 100:g} {format_duration(one.reported_s)} ({format_duration(one.true_s)})"
            for one in selftest.accuracy
        ]
        n = selftest.accuracy[0].n
        yield f"Service times reported (and logged by the server): {', '.join(parts)}; {n:,} requests."


def sizes(selftest: SelfTest) -> str:
    """Which shipped scenarios this machine can decide; it names none if the self-test itself was disturbed."""
    wrong = _wrong_text(selftest)
    if not selftest.ceiling_rps:
        alone = (
            "It can't decide any scenario in this state: if other programs are busy here, run it again without them."
        )
        return f"{alone}{wrong}"
    if untried := _untried(selftest):
        what = f"{untried} of {len(selftest.rates)} questions could not be tried, because this machine was too busy"
        return f"It is not known which scenarios it can decide: {what}. Run it again without other programs.{wrong}"
    fits = [size.scenario for size in selftest.sizes if size.fits]
    beyond = [f"{size.scenario} ({size.peak_rps:,.0f} requests/s)" for size in selftest.sizes if not size.fits]
    can = "whose load it can generate" if wrong else "that it can decide"
    text = f"Shipped scenarios {can}: {', '.join(fits) or 'none'}.{wrong}"
    return f"{text} Too large for one process: {', '.join(beyond)}." if beyond else text


def _wrong_text(selftest: SelfTest) -> str:
    """The sentence on wrong answers; empty if there are none."""
    wrong = _wrong(selftest)
    if not wrong:
        return ""
    answers = "1 answer was" if wrong == 1 else f"{wrong} answers were"
    return f" But {answers} wrong: don't rely on verdicts from here until a self-test gets everything right."


def _wrong(selftest: SelfTest) -> int:
    """The number of wrong answers; a question that could not be tried has none."""
    return sum(rate.n - rate.right for rate in selftest.rates)


def _untried(selftest: SelfTest) -> int:
    """The number of questions for which every run was INVALID."""
    return sum(not rate.n for rate in selftest.rates)


def _ceiling(selftest: SelfTest) -> str:
    if not selftest.ceiling_rps:
        return "the generator sustained no rate"
    most = "up to" if selftest.is_ceiling else "at least"
    return f"one process sustains {most} {selftest.ceiling_rps:,.0f} requests/s"


def _rate(rate: HitRate) -> str:
    estimate = ratio_estimate(rate.right, rate.n)
    if estimate is None:
        return f"{rate.name}: not tried."
    return (
        f"{rate.name}: {rate.expected} in {rate.right} of {rate.n} "
        f"(95 % interval {estimate.low:.0%} to {estimate.high:.0%})."
    )


def _change(change: MeasuredChange) -> str:
    if not math.isfinite(change.low):
        return f"{change.ratio:+.1%}"
    return f"{change.ratio:+.1%} (95 % interval {change.low:+.1%} to {change.high:+.1%}, {change.runs} runs a side)"


def _day(selftest: SelfTest) -> str:
    return date_text(selftest.measured_unix_s)[:10]
