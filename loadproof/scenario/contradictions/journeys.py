"""Finds wrong names of requests: in the mix, in groups, and in thresholds that read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from loadproof.scenario.mistake import Mistake
from loadproof.scenario.strict import nearest

if TYPE_CHECKING:
    from loadproof.scenario.document import YamlPath
    from loadproof.scenario.scenario import Scenario, Threshold

_OF_GROUPS: Final = ("response", "service")
"""The series of times that a group has."""


def name_contradictions(scenario: Scenario) -> Iterator[Mistake]:
    """Names of requests and groups that can't be told apart, or that mean nothing."""
    for kind, mix in scenario.mix.items():
        path = "mix", kind, "requests"
        yield from _twice(path, mix.requests or [])
        for request in mix.requests or ():
            if request != kind and request in scenario.mix:
                remedy = "give it another name, or thresholds couldn't tell the two apart"
                yield Mistake(path, "a kind of user has this name", request, remedy)
    for name, group in scenario.groups.items():
        if name in {*scenario.mix, *scenario.endpoints}:
            yield Mistake(
                ("groups", name), "a request or a kind of user has this name", name, "give the group another one"
            )
        path = "groups", name, "requests"
        yield from _twice(path, group.requests)
        unknown = [request for request in group.requests if request not in scenario.endpoints]
        for request in unknown:
            yield Mistake(path, "no such request in the mix", request, nearest(request, list(scenario.endpoints)))
        if not unknown and not any(set(group.requests) <= set(scenario.requests_of(kind)) for kind in scenario.mix):
            yield Mistake(
                path, "no kind of user sends all of them", ", ".join(group.requests), "name requests of one journey"
            )


def _twice(path: YamlPath, names: list[str]) -> Iterator[Mistake]:
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Mistake(path, "named twice", name, "name it once, however often it is sent")


def endpoint_contradictions(scenario: Scenario, threshold: Threshold) -> Iterator[Mistake]:
    """Names in a threshold that nobody sends, and what it asks of a group that no group has; each with its key."""
    if scenario.group_of(threshold) is None:
        # What a locustfile sends is not known before it runs.
        for name in () if scenario.locustfile else scenario.endpoints_of(threshold):
            if name in scenario.groups:
                yield Mistake(("endpoint",), "a group besides other requests", name, "give it a threshold of its own")
            elif name not in scenario.endpoints:
                known = dict.fromkeys([*scenario.mix, *scenario.endpoints, *scenario.groups])
                yield Mistake(("endpoint",), "no such endpoint in the mix", name, nearest(name, list(known)))
        return
    if threshold.abort:
        yield Mistake(
            ("abort",), "a group may take any time, so no window of it is ever complete", None, "watch its requests"
        )
    if threshold.series not in _OF_GROUPS:
        yield Mistake(("series",), "a group has no such part of its time", threshold.series, "name one of its requests")
    if threshold.expectation.metric.kind.of_bursts:
        yield Mistake(
            ("expect",), "only single requests have a spread", threshold.expect, "name one of the group's requests"
        )
