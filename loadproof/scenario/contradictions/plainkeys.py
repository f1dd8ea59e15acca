"""Finds keys that contradict a plain locustfile or have no effect beside it, and keys that need one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.scenario.mistake import Mistake
from loadproof.scenario.traffic.plainscenario import OF_LOCUSTFILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.scenario.scenario import Scenario

_WITHOUT_EFFECT: Final = {
    "mix": "the weights of its users are the mix",
    "groups": "the order of its requests is unknown",
    "feeders": "its users read what they need",
    "when_throttled": "its users decide",
    "retries": "its users decide",
}
"""Keys that have no effect together with a locustfile, and why."""


def locustfile_contradictions(scenario: Scenario) -> Iterator[Mistake]:
    """Keys that a locustfile's users decide themselves or can't honour; without one, keys that need it."""
    written = scenario.model_fields_set
    if scenario.locustfile is None:
        for key in written.intersection(OF_LOCUSTFILES):
            yield Mistake((key,), "no effect without a locustfile", None, "leave it out, or name the `locustfile`")
        return
    if scenario.model == "open":
        what = "a locustfile's users wait for their responses, so they have a number and no rate"
        yield Mistake(("model",), what, "open", "use `model: closed` and `users`")
    for key, why in _WITHOUT_EFFECT.items():
        if bool(scenario.mix) if key == "mix" else key in written:
            yield Mistake((key,), f"no effect beside a locustfile: {why}", None, "leave it out")
    if scenario.clients != "shared":
        what = "loadproof can't give a locustfile's users addresses or headers of their own"
        yield Mistake(("clients",), what, str(scenario.clients), "leave it out")
    for index, phase in enumerate(scenario.phases):
        if phase.burst is not None:
            what = "a locustfile's users don't send at the same instant"
            yield Mistake(("phases", index, "burst"), what, None, "give the phase a `duration` instead")
