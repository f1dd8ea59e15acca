"""The parts of a scenario that decide what is sent: if they differ, two runs don't have the same load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario

_NO_TRAFFIC: Final = frozenset({"name", "description", "thresholds", "record", "margin", "settings"})
"""Parts of a scenario that don't change what is sent; settings configure the target."""


def traffic_of(scenario: Scenario) -> dict[str, Any]:
    """The scenario as a dictionary, with None for the parts that don't decide what is sent."""
    sent_by_locustfile = {"mix"} if scenario.locustfile is not None else set()
    return scenario.model_dump(mode="json") | dict.fromkeys(_NO_TRAFFIC | sent_by_locustfile)
