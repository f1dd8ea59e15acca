"""What a scenario asks of the embedded target: where it counts, how it protects itself, how large it is."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from loadproof.scenario.strict import Duration, Name, Strict

LimitText = Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,8}/(s|min|h)$")]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _checked_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("not a network; write one like 127.0.1.0/24, or an address") from None
    raise ValueError(f"not a network: it has bits beyond its length; did you mean {network}?")


NetworkText = Annotated[str, AfterValidator(_checked_network)]
Networks = Annotated[list[NetworkText], Field(max_length=1000)]
_Seconds = Annotated[Duration, Field(ge=1, le=86_400)]


class Penalties(Strict):
    """A growing back-off: a client that exceeds a limit waits longer each time."""

    base: Annotated[Duration, Field(ge=0.001, le=86_400)] = Field(
        description="How much longer than by the limit alone a client is refused after its first violation."
    )
    factor: Annotated[float, Field(ge=1, le=100)] = Field(
        2.0, description="Each further violation multiplies the penalty by this."
    )
    cap: _Seconds = Field(600.0, description="The longest penalty.")
    memory: _Seconds = Field(600.0, description="Each such time without a violation cancels one violation.")


class Settings(Strict):
    """Settings of the embedded reference target; ignored if you load a target of your own."""

    limiter: Literal["local", "redis", "slowapi", "off"] = Field(
        "local",
        description="Where requests are counted: in each process's memory, in Redis (that of REDIS_URL, or one started "
        "for the run), by slowapi, or not at all.",
    )
    redis_timeout: Annotated[Duration, Field(ge=0.01, le=5)] | None = Field(
        None,
        description="How long a request waits for Redis before its process counts separately; default: 2 s for a Redis "
        "that the run starts, else 250 ms.",
    )
    limits: dict[Name, LimitText] = Field(
        default={"health": "60/min", "balance": "30/min", "transactions": "10/min", "webhooks": "5/min"},
        description="Requests that each client may send, per endpoint.",
    )
    penalties: Penalties | None = Field(None, description="A growing back-off for violations; default: none.")
    bots: Literal["off", "on", "strict"] = Field(
        "off", description="Refuse bots by User-Agent; strict: also ordinary HTTP libraries, and requests without one."
    )
    allow: Networks = Field(
        default=[], description="Clients that neither the bot check nor the limits refuse: networks or addresses."
    )
    deny: Networks = Field(default=[], description="Clients that are always refused, with 403.")
    processes: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Processes that share a port and a database; each counts separately unless limits are in Redis."
    )
    accounts: Annotated[int, Field(ge=2, le=1_000_000)] | None = Field(
        None, description="Funded accounts; default: enough for all clients."
    )
    bottleneck: Annotated[Duration, Field(ge=0.001, le=60)] | None = Field(
        None, description="How long each request occupies its process's only queue: a known capacity on any machine."
    )
