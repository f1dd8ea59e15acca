"""Finds contradictions in a scenario whose fields are each valid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from loadproof.outcome import SETUP, Outcome
from loadproof.scenario.contradictions.faults import fault_contradictions
from loadproof.scenario.contradictions.idlekeys import idle_keys
from loadproof.scenario.contradictions.journeys import endpoint_contradictions, name_contradictions
from loadproof.scenario.contradictions.mix import mix_contradictions
from loadproof.scenario.contradictions.plainkeys import locustfile_contradictions
from loadproof.scenario.mistake import Mistake
from loadproof.scenario.strict import nearest
from loadproof.scenario.thresholds.metrics import GOOD, METRICS
from loadproof.scenario.thresholds.vacuous import Longest, vacuity, wrong_way

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario, Threshold
    from loadproof.scenario.thresholds.expectation import Expectation
    from loadproof.scenario.traffic.phase import Phase

_WINDOWED: Final = frozenset(name for name, kind in METRICS.items() if kind.in_windows)
_COMPARED: Final = frozenset(name for name, kind in METRICS.items() if kind.beside_baseline)
"""Metrics that can be judged in each window of a run, and against a baseline."""


def contradictions(scenario: Scenario) -> Iterator[Mistake]:
    """Everything that each field allows but the whole scenario doesn't."""
    yield from locustfile_contradictions(scenario)
    if scenario.locustfile is None:
        yield from mix_contradictions(scenario)
        yield from name_contradictions(scenario)
    for index, phase in enumerate(scenario.phases):
        for mistake in _phase_contradictions(scenario, phase):
            yield mistake.within("phases", index)
        if phase.name == SETUP:
            yield Mistake(
                ("phases", index, "name"),
                "is reserved for what on_start and on_stop send",
                SETUP,
                "give it another name",
            )
        if phase.name in {earlier.name for earlier in scenario.phases[:index]}:
            yield Mistake(
                ("phases", index, "name"), "an earlier phase has this name", phase.name, "give it another name"
            )
    if all(phase.warm_up for phase in scenario.phases):
        yield Mistake(("phases",), "every phase is warm-up", None, "add a phase that thresholds read")
    for index, threshold in scenario.numbered_thresholds():
        for mistake in _threshold_contradictions(scenario, threshold):
            yield mistake.within("thresholds", index)
    yield from fault_contradictions(scenario)
    yield from _unread(scenario)
    yield from idle_keys(scenario)


def expects_goodput(threshold: Threshold) -> bool:
    """Whether a target that refuses everything would violate it; a fraction of a baseline's goodput may be zero."""
    expectation = threshold.expectation
    is_of_good = expectation.metric.kind.counted == GOOD and expectation.metric.objective is None
    return is_of_good and not expectation.of_baseline


def refusals_break(scenario: Scenario, threshold: Threshold) -> Sequence[str]:
    """Requests whose refusal it notices: all those of its group, which needs each of them, or those that it reads."""
    group = scenario.group_of(threshold)
    return group.requests if group else scenario.endpoints_of(threshold)


def _unread(scenario: Scenario) -> Iterator[Mistake]:
    """Traffic that a target could refuse altogether without violating a threshold."""
    reading = [threshold for threshold in scenario.thresholds if expects_goodput(threshold)]
    if scenario.locustfile is not None:
        # What a locustfile sends, and how much, is unknown beforehand: only a ratio of all requests covers everything.
        reading = [one for one in reading if one.endpoint is None and one.expectation.metric.name == "goodput_ratio"]
    read = {name for threshold in reading for name in refusals_break(scenario, threshold)}
    unread = [name for name in scenario.endpoints if name not in read]
    if not reading:
        remedy = "add `expect: goodput_ratio >= 99 %`: otherwise a target that refuses everything would pass"
        yield Mistake(("thresholds",), "no goodput threshold", None, remedy)
    elif unread:
        endpoint = unread[0] if len(unread) == 1 else f"[{', '.join(unread)}]"
        line = f"{{endpoint: {endpoint}, expect: goodput_ratio >= 99 %}}"
        remedy = f"add `{line}`: otherwise a target that refuses all of it would pass"
        yield Mistake(("thresholds",), f"no goodput threshold covers {', '.join(unread)}", None, remedy)


def _phase_contradictions(scenario: Scenario, phase: Phase) -> Iterator[Mistake]:
    wanted, unwanted = ("users", "rate") if scenario.model == "closed" else ("rate", "users")
    if getattr(phase, wanted) is None:
        yield Mistake((), f"no `{wanted}` in the {scenario.model} model", None, f"add `{wanted}`")
    if getattr(phase, unwanted) is not None:
        yield Mistake(
            (), f"`{unwanted}` in the {scenario.model} model", str(getattr(phase, unwanted)), f"use `{wanted}`"
        )
    if phase.burst is not None and scenario.model == "open":
        yield Mistake((), "a burst in the open model", None, "use a closed model, or a phase with a high rate")
    if (phase.duration is None) == (phase.burst is None):
        yield Mistake((), "exactly one of `duration` and `burst` is needed", None, "give one of them")
    if phase.ramp is not None and (phase.burst is not None or phase.ramp > phase.duration_s):
        yield Mistake((), "the ramp doesn't fit into the phase", f"{phase.ramp:g} s", "shorten it or leave it out")


def _threshold_contradictions(scenario: Scenario, threshold: Threshold) -> Iterator[Mistake]:
    phases = {phase.name: phase for phase in scenario.phases}
    yield from endpoint_contradictions(scenario, threshold)
    for name in scenario.phases_of(threshold):
        if name not in phases:
            yield Mistake(("phase",), "no such phase", name, nearest(name, list(phases)))
        elif phases[name].warm_up:
            yield Mistake(("phase",), "thresholds never read warm-up", name, "name a phase after it")
    expectation = threshold.expectation
    metric, kind = expectation.metric.name, expectation.metric.kind
    yield from _window_contradictions(scenario, threshold, expectation)
    if expectation.of_baseline and metric not in _COMPARED:
        yield Mistake(
            ("expect",), "not comparable with a baseline", threshold.expect, f"one of {', '.join(sorted(_COMPARED))}"
        )
    if kind.of_one_phase and len(scenario.phases_of(threshold)) != 1:
        yield Mistake(("expect",), f"{metric} needs a single phase", threshold.scope, "name one with `phase:`")
    if kind.of_bursts and not all(phases[n].burst for n in scenario.phases_of(threshold) if n in phases):
        yield Mistake(("expect",), "only a phase of bursts has a spread", threshold.expect, "name a phase with `burst`")
    if vacuous := wrong_way(expectation, threshold.outcome) or vacuity(expectation, _longest(scenario, threshold)):
        yield Mistake(("expect",), vacuous.what, threshold.expect, vacuous.remedy)


def _longest(scenario: Scenario, threshold: Threshold) -> Longest:
    """The longest time that a threshold can read."""
    timeouts, kind = scenario.timeouts, threshold.expectation.metric.kind
    if kind.from_disturbance:
        # Whether the phase is long enough is checked elsewhere.
        return Longest(math.inf)
    if scenario.group_of(threshold) is not None:
        # Its user may pause for any time between its requests.
        return Longest()
    if kind.of_bursts:
        bursts = [phase.burst.every for phase in scenario.phases if phase.burst is not None]
        return Longest(max(bursts, default=math.inf), "then comes the next burst")
    if threshold.outcome is Outcome.TIMEOUT:
        return Longest()
    sources = [Longest(), Longest(timeouts.total, "`timeouts.total` ends what takes longer")]
    if threshold.series == "connect":
        sources.append(Longest(timeouts.connect, "`timeouts.connect` ends what takes longer"))
    if threshold.series == "first_byte" and timeouts.first_byte is not None:
        sources.append(Longest(timeouts.first_byte, "`timeouts.first_byte` ends what takes longer"))
    return min(sources)


def _window_contradictions(scenario: Scenario, threshold: Threshold, expectation: Expectation) -> Iterator[Mistake]:
    window_s = expectation.window_s
    if window_s is None:
        if threshold.abort:
            yield Mistake(
                ("abort",), "no window that could be violated", threshold.expect, "add a window, like `for 10 s`"
            )
        return
    phases = [phase for phase in scenario.phases if phase.name in scenario.phases_of(threshold)]
    if expectation.metric.name not in _WINDOWED or expectation.of_baseline:
        remedy = f"leave the window out; it goes with {', '.join(sorted(_WINDOWED))} and a limit"
        yield Mistake(("expect",), "not judged by windows", threshold.expect, remedy)
    elif window_s < 1 or window_s % 1:
        yield Mistake(("expect",), "a window of parts of a second", f"{window_s:g} s", "use whole seconds")
    elif any(phase.duration_s < window_s for phase in phases):
        yield Mistake(
            ("expect",), "the window is longer than a phase", f"{window_s:g} s", "shorten it, or name longer phases"
        )
