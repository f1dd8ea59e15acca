"""Turns the arguments of the flood drill into who floods, how, and for how long."""

from __future__ import annotations

import argparse
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTLED_S: Final = 5
"""Seconds of a flood before anything is measured."""
_MARGIN_S: Final = 2
_WINDOW_S: Final = 60
_SHORTEST_S: Final = 12
"""With fewer requests, the neighbours' thresholds could not be decided."""
_RPS: Final = 1000
_CLIENT_HEADER: Final = "X-Drill-Client"


class Length(NamedTuple):
    calm_s: int
    flood_s: int
    """Duration of the flood, `rise_s` longer than the part that is measured."""
    rise_s: int
    neighbours: tuple[str, ...] = ()

    @property
    def windows(self) -> int:
        """The number of quota windows (minutes) that the flood touches: the client gets its quota in each."""
        return 1 + self.flood_s // _WINDOW_S

    @property
    def beside_s(self) -> int:
        return self.flood_s - self.rise_s


def _faster_neighbours(rps: int) -> tuple[str, ...]:
    """More neighbours, for a shorter time."""
    return "client_count=400", *(f"phases.{phase}.rate={rps} rps" for phase in ("calm", "rise", "flood"))


LONG: Final = Length(20, 65, 10)
SHORT: Final = Length(5, 15, 5, _faster_neighbours(200))


class Way(NamedTuple):
    """How a flood reaches the API."""

    options: tuple[str, ...] = ()
    """Options of drills.flooder."""
    settings: Mapping[str, str] = MappingProxyType({})
    """Settings of the API."""
    neighbours: tuple[str, ...] = ()
    """Changes to the neighbours' scenario."""
    has_limits: bool = True
    is_promised: bool = True
    """Whether the neighbours' p(95) must stay within twice its calm value."""


WAYS: Final = {
    "direct": Way(),
    "proxy": Way(
        ("--header", f"{_CLIENT_HEADER}: flooder"),
        MappingProxyType({"CLIENT_HEADER": _CLIENT_HEADER, "TRUSTED_NETWORKS": "127.0.0.0/8"}),
        (f"clients={{header: {_CLIENT_HEADER}}}",),
    ),
    "metrics": Way(("--path", "/metrics"), has_limits=False),
    "ready": Way(("--path", "/health/ready"), has_limits=False),
    "anew": Way(("--connect-anew",), is_promised=False),
}


class Plan(NamedTuple):
    """One drill."""

    rps: int
    length: Length
    way_name: str
    is_by_flooder: bool
    is_short: bool

    @property
    def way(self) -> Way:
        return WAYS[self.way_name]

    @property
    def neighbours(self) -> tuple[str, ...]:
        """Changes to the neighbours' scenario."""
        lengths = {"calm": self.length.calm_s, "rise": self.length.rise_s, "flood": self.length.beside_s}
        durations = (f"phases.{phase}.duration={seconds} s" for phase, seconds in lengths.items())
        return *durations, *self.length.neighbours, *self.way.neighbours


def plan_of(arguments: list[str]) -> Plan:
    """The drill that these arguments ask for; ends the process with a message if they are invalid."""
    parser = argparse.ArgumentParser(description="Flood the reference API from one address.")
    parser.add_argument("--short", action="store_true", help="half a minute")
    parser.add_argument("--rps", type=int, help="requests per second of the flooder (default: 1000, by loadproof)")
    parser.add_argument("--way", choices=WAYS, default="direct", help="with --rps: how the flood comes")
    parser.add_argument("--seconds", type=int, default=15, help="with --rps: length of the calm, and of the flood")
    options = parser.parse_args(arguments)
    if options.seconds < _SHORTEST_S:
        parser.error(f"--seconds: too short to show anything, got {options.seconds}; give at least {_SHORTEST_S}")
    if options.rps is None:
        if options.way != "direct":
            parser.error("--way: only drills.flooder floods like that; give --rps")
        return Plan(_RPS, SHORT if options.short else LONG, options.way, is_by_flooder=False, is_short=options.short)
    rise_s = SETTLED_S + _MARGIN_S
    length = Length(options.seconds, options.seconds + rise_s, rise_s, _faster_neighbours(130))
    return Plan(options.rps, length, options.way, is_by_flooder=True, is_short=options.short)
