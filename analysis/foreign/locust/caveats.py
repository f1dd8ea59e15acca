"""States what the CSVs of a `LocustRun` can't show, instead of guessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.foreign.locust.csvfiles import LocustRun


def cannot_show(run: LocustRun) -> tuple[str, ...]:
    """Sentences on what such files never show, and on what these don't."""
    return tuple(_sentences(run))


def _sentences(run: LocustRun) -> Iterator[str]:
    yield (
        "Nothing here shows how the load generator did: its CPU, its lateness, lost reports. "
        "So these files never prove that it kept up, and a slowdown may be its own."
    )
    yield (
        "Times are service times: from sending to the end of the answer, not from when a request was due. "
        "While the target is slow, users wait and send less, and the waits that others would have had are missing "
        "(coordinated omission)."
    )
    yield (
        "Percentiles are rounded to two digits: up to 4.8 % off, and ±0.5 ms below 100 ms. "
        "The files don't show their sampling error; intervals of times cover the rounding only."
    )
    yield f"Failures share percentiles and means with successes, so fast failures flatter them{_share(run)}."
    if run.history.empty:
        yield "There is no history: how the run developed is unknown."
    elif run.cumulative:
        yield (
            "The history's percentiles are since the start, which hides late changes; "
            "Locust writes those of the last ten seconds only with --csv-full-history."
        )
    else:
        yield "The history's percentiles are of the last ten seconds or so: neighbouring rows share their requests."


def _share(run: LocustRun) -> str:
    if run.total is None or not run.total.failures:
        return ""
    return f"; here {format_quantity(run.total.failure_ratio, Dimension.RATIO)} failed"
