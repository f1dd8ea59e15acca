"""Finds keys that were written in a scenario but have no effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from loadproof.scenario.contradictions.idlesettings import idle_settings
from loadproof.scenario.mistake import Mistake
from loadproof.scenario.thresholds.audit import AuditThreshold

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario, Threshold

_OF_OPEN: Final = ("client_count", "max_in_flight", "arrivals")
_LEAVE: Final = "leave it out"


def idle_keys(scenario: Scenario) -> Iterator[Mistake]:
    """Keys without effect; only those that were written, not defaults."""
    yield from _of_the_other_model(scenario)
    yield from _timeouts(scenario)
    yield from _ramps(scenario)
    yield from idle_settings(scenario)
    for name, feeder in scenario.feeders.items():
        if "at_end" in feeder.model_fields_set and feeder.order in {"random", "unique"}:
            what = f"no effect with `order: {feeder.order}`, which has no end"
            yield Mistake(("feeders", name, "at_end"), what, feeder.at_end, _LEAVE)
    for index, threshold in scenario.numbered_thresholds():
        for mistake in _threshold_keys(threshold):
            yield mistake.within("thresholds", index)
    for index, either in enumerate(scenario.all_thresholds):
        if either in scenario.all_thresholds[:index]:
            written = either.audit if isinstance(either, AuditThreshold) else either.expect
            yield Mistake(("thresholds", index), "the same threshold appears above", written, "remove it")
        if isinstance(either, AuditThreshold) and either.detects and either.audit == "limits":
            yield Mistake(("thresholds", index, "detects"), "no effect on an audit of limits", either.detects, _LEAVE)
    if scenario.record is not None and scenario.audits:
        yield Mistake(("record",), "no effect: an audit records all requests", scenario.record, _LEAVE)


def _of_the_other_model(scenario: Scenario) -> Iterator[Mistake]:
    if scenario.model == "closed":
        for key in _OF_OPEN:
            if key in scenario.model_fields_set:
                yield Mistake((key,), "no effect in the closed model", str(getattr(scenario, key)), _LEAVE)
        return
    if "when_throttled" in scenario.model_fields_set:
        what, remedy = "no effect in the open model", f"{_LEAVE}: arrivals come whatever the target does"
        yield Mistake(("when_throttled",), what, scenario.when_throttled, remedy)
    for name, mix in scenario.mix.items() if "mix" in scenario.model_fields_set else ():
        if mix.every is not None:
            remedy = f"{_LEAVE}: `rate` and `share` say how often"
            yield Mistake(("mix", name, "every"), "no effect in the open model", f"{mix.every:g} s", remedy)


def _timeouts(scenario: Scenario) -> Iterator[Mistake]:
    timeouts = scenario.timeouts
    for key in ("connect", "first_byte"):
        time_s = getattr(timeouts, key)
        if key in timeouts.model_fields_set and time_s is not None and time_s > timeouts.total:
            what, remedy = "the total timeout comes first", f"make it {timeouts.total:g} s at most, or {_LEAVE}"
            yield Mistake(("timeouts", key), what, f"{time_s:g} s", remedy)
    if scenario.deadline > timeouts.total:
        remedy = f"make it {timeouts.total:g} s at most, or `timeouts.total` longer"
        yield Mistake(("deadline",), "no response is awaited for that long", f"{scenario.deadline:g} s", remedy)


def _ramps(scenario: Scenario) -> Iterator[Mistake]:
    before: float | None = None
    for index, phase in enumerate(scenario.phases):
        level = phase.users if scenario.model == "closed" else phase.rate
        if phase.ramp is not None and level == before:
            yield Mistake(("phases", index, "ramp"), "the level before is the same", f"{level:g}", _LEAVE)
        before = level


def _threshold_keys(threshold: Threshold) -> Iterator[Mistake]:
    metric = threshold.expectation.metric
    reads_times = (metric.of or metric).kind.reads_times
    for key in ("outcome", "series"):
        if key in threshold.model_fields_set and not reads_times:
            remedy = f"{_LEAVE}; it goes with p(95), mean and max"
            yield Mistake((key,), f"{metric.name} doesn't read it", str(getattr(threshold, key)), remedy)
    for key in ("endpoint", "phase"):
        names = getattr(threshold, key)
        if isinstance(names, list):
            if not names:
                yield Mistake((key,), "an empty list", None, f"name one, or {_LEAVE} for all")
            for name in dict.fromkeys(name for name in names if names.count(name) > 1):
                yield Mistake((key,), "named twice", name, "name it once")
