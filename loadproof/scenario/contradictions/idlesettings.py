"""Finds parts of a scenario's `settings` that the others make ineffective."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from loadproof.scenario.mistake import Mistake
from loadproof.scenario.strict import nearest

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.settings import Settings

_ENDPOINTS: Final = ("health", "balance", "transactions", "webhooks")
"""Endpoints whose limits the embedded target enforces."""


def idle_settings(scenario: Scenario) -> Iterator[Mistake]:
    """Settings of the embedded target that have no effect in this scenario."""
    settings = scenario.settings
    if settings.limiter == "off":
        for key in ("limits", "penalties"):
            if key in settings.model_fields_set and getattr(settings, key) is not None:
                remedy = f"remove one of `{key}` and `limiter`"
                yield Mistake(("settings", key), "no effect while the limiter is off", None, remedy)
    if settings.redis_timeout is not None and settings.limiter != "redis":
        remedy = "remove it, or add `limiter: redis`"
        yield Mistake(("settings", "redis_timeout"), "no effect without Redis", None, remedy)
    for name in settings.limits:
        if name not in _ENDPOINTS:
            what, remedy = "the embedded target has no such limit", nearest(name, [*_ENDPOINTS])
            yield Mistake(("settings", "limits", name), what, name, remedy)
    penalties = settings.penalties
    if penalties is not None and penalties.base > penalties.cap:
        what, remedy = "the first penalty is longer than the longest", "make it `cap` at most, or `cap` longer"
        yield Mistake(("settings", "penalties", "base"), what, f"{penalties.base:g} s", remedy)
    yield from _idle_networks(settings)


def _idle_networks(settings: Settings) -> Iterator[Mistake]:
    """Entries that others cover, in the same list or in the one that is checked first."""
    for key, texts in (("deny", settings.deny), ("allow", settings.allow)):
        for index, text in enumerate(texts):
            path = ("settings", key, index)
            # Of two identical entries, it is the second that changes nothing.
            others = texts[:index] + [other for other in texts[index + 1 :] if other != text]
            if key == "allow" and (denied := _covering(text, settings.deny)):
                what, remedy = (
                    "no effect: the deny list is asked first",
                    f"take it off one of the lists, or {denied} off `deny`",
                )
                yield Mistake(path, what, text, remedy)
            elif covering := _covering(text, others):
                yield Mistake(path, f"no effect: {covering} is on the list, too", text, "remove one of them")


def _covering(text: str, others: list[str]) -> str | None:
    """The first of the others that contains this network."""
    network = ipaddress.ip_network(text)
    for other in others:
        wider = ipaddress.ip_network(other)
        if network.version == wider.version and network.subnet_of(wider):  # type: ignore[arg-type]  # the same version
            return other
    return None
