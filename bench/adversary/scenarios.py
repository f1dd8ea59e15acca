"""Short scenarios with little load, and mixes for users' own classes."""

from __future__ import annotations

from typing import Any

Scenario = dict[str, Any]
MIX = {
    "balance": {"share": "40 %", "every": "200 ms"},
    "transactions": {"share": "30 %", "every": "200 ms"},
    "health": {"share": "10 %", "every": "200 ms"},
    "webhooks": {"share": "20 %", "every": "200 ms"},
}
THRESHOLDS = [{"expect": "error_ratio < 10 %"}, {"expect": "goodput_ratio >= 80 %"}]
CLOSED: Scenario = {
    "name": "tried",
    "model": "closed",
    "deadline": "1 s",
    "mix": MIX,
    "phases": [{"name": "steady", "duration": "6 s", "users": 20}],
    "timeouts": {"connect": "2 s", "total": "3 s"},
    "thresholds": THRESHOLDS,
}
OPEN: Scenario = CLOSED | {
    "model": "open",
    "client_count": 20,
    "mix": {name: {"share": one["share"]} for name, one in MIX.items()},
    "phases": [{"name": "steady", "duration": "6 s", "rate": "80 rps"}],
}


def closed(**changes: Any) -> Scenario:
    """Twenty users who each send five requests per second."""
    return CLOSED | changes


def open_(**changes: Any) -> Scenario:
    """Eighty arrivals per second."""
    return OPEN | changes


def of(*endpoints: str, every: str = "200 ms") -> Scenario:
    """The closed scenario with only these endpoints."""
    return CLOSED | {"mix": {name: {"share": f"{100 / len(endpoints):g} %", "every": every} for name in endpoints}}


def within(limit_ms: int, quantile: int = 90) -> Scenario:
    """The closed scenario with an additional threshold on a response time quantile."""
    return CLOSED | {"thresholds": [{"expect": f"p({quantile}) < {limit_ms} ms"}, *THRESHOLDS]}
