"""A target's declared limits: how many requests, in what period, counted how, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from loadproof.scenario.settings import LimitText, Networks, Penalties
from loadproof.scenario.strict import Duration, Strict
from loadproof.units import format_duration

if TYPE_CHECKING:
    from loadproof.scenario.settings import Settings

Algorithm = Literal["fixed-window", "aligned-window", "moving-window", "sliding-counter", "token-bucket", "unknown"]
EMBEDDED_BOTS: Final = ("sqlmap", "nikto", "nuclei", "masscan", "AhrefsBot", "SemrushBot", "GPTBot", "HeadlessChrome")
EMBEDDED_LIBRARIES: Final = ("curl/", "Wget/", "python-requests/", "Go-http-client/")
"""Some of what the embedded target's bot check refuses."""
KNOWN_ALGORITHMS: Final = tuple(name for name in get_args(Algorithm) if name != "unknown")
_PERIODS_S: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}


class DeclaredLimit(Strict):
    """At most `amount` requests in `period`, as the algorithm counts them."""

    amount: Annotated[int, Field(ge=1, le=999_999_999)]
    period: Annotated[Duration, Field(ge=0.001)]
    algorithm: Algorithm = Field(
        "unknown",
        description="How requests are counted: in windows that the first request starts, in windows of the clock, in a "
        "log of the last period, in this window and a part of the one before, or by a bucket that refills evenly (also "
        "GCRA).",
    )
    key: Literal["client", "global"] = Field(
        "client", description="One limit for each client, or one for all of them together."
    )
    burst: Annotated[int, Field(ge=1, le=999_999_999)] | None = Field(
        None, description="Tokens in a full bucket; default: `amount`."
    )
    shared: Literal["redis", "process"] = Field(
        "redis", description="Whether all of the target's processes count together, or each one separately."
    )
    processes: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="Number of processes that count separately.")
    penalties: Penalties | None = Field(None, description="A growing back-off for violations; default: none.")
    status: Annotated[int, Field(ge=400, le=599)] = Field(429, description="Status of a refusal.")
    retry_after: bool | None = Field(
        None, description="Whether refusals have Retry-After; default: it is checked where present."
    )

    @model_validator(mode="after")
    def _without_idle_keys(self) -> DeclaredLimit:
        if self.burst is not None and self.algorithm != "token-bucket":
            raise ValueError("only a token bucket has a burst; remove `burst`, or say `algorithm: token-bucket`")
        if self.processes > 1 and self.shared != "process":
            raise ValueError("processes that don't count separately; remove `processes`, or say `shared: process`")
        if self.processes > 1 and self.retry_after:
            raise ValueError("no Retry-After can be promised when processes count separately; remove `retry_after`")
        return self

    @property
    def size(self) -> int:
        """The most requests that are admitted at once after a long idle time."""
        return self.burst or self.amount


UserAgentPart = Annotated[str, StringConstraints(pattern=r"^[ -~]+$", max_length=300)]


class Bots(Strict):
    """Requests that a bot check refuses by their User-Agent."""

    user_agents: Annotated[list[UserAgentPart], Field(min_length=1, max_length=1000)] = Field(
        description="Parts of a User-Agent, case-insensitive; one match is enough."
    )
    status: Annotated[int, Field(ge=400, le=599)] = Field(403, description="Status of the refusal.")


class Access(Strict):
    """Clients that lists let in or keep out, whatever the limits say; the deny list is checked first."""

    allow: Networks = Field(default=[], description="Clients that are never refused: networks or addresses.")
    deny: Networks = Field(default=[], description="Clients that are always refused.")
    status: Annotated[int, Field(ge=400, le=599)] = Field(403, description="Status of the refusal.")
    bots: Bots | None = Field(None, description="What the bot check refuses, after the lists and before the limits.")


def _form_of(limit: object) -> str:
    return "mapping" if isinstance(limit, Mapping | DeclaredLimit) else "text"


Limit = Annotated[
    Annotated[LimitText, Tag("text")] | Annotated[DeclaredLimit, Tag("mapping")],
    Discriminator(_form_of),
]
"""The text form, like '30/min', is per client and leaves the algorithm unknown."""


Written = str | DeclaredLimit
"""A checked limit."""


def declared(limit: Written) -> DeclaredLimit:
    """The text form as a mapping."""
    if isinstance(limit, DeclaredLimit):
        return limit
    amount, _, period = limit.partition("/")
    return DeclaredLimit.model_construct(amount=int(amount), period=_PERIODS_S[period])


def limit_text(limit: Written) -> str:
    """'30/min' or '5 in 10 s', with the algorithm and the key if they were declared."""
    if isinstance(limit, str):
        return limit
    unit = next((unit for unit, seconds in _PERIODS_S.items() if seconds == limit.period), None)
    rate = f"{limit.amount}/{unit}" if unit else f"{limit.amount} in {format_duration(limit.period)}"
    said = [limit.algorithm] if limit.algorithm != "unknown" else []
    return ", ".join([rate, *said, *(["all clients together"] if limit.key == "global" else [])])


def embedded_limits(settings: Settings) -> dict[str, DeclaredLimit]:
    """The embedded target's limits; its algorithm is known: a moving window, wherever it counts."""
    if settings.limiter == "off":
        return {}
    is_local = settings.limiter != "redis"
    return {
        name: declared(text).model_copy(
            update={
                "algorithm": "moving-window",
                "shared": "process" if is_local else "redis",
                "processes": settings.processes if is_local else 1,
                "penalties": settings.penalties,
                "retry_after": not is_local or settings.processes == 1,
            }
        )
        for name, text in settings.limits.items()
    }


def embedded_access(settings: Settings) -> Access | None:
    """The embedded target's lists and bot check; None if it has none."""
    if not (settings.allow or settings.deny or settings.bots != "off"):
        return None
    agents = EMBEDDED_BOTS + (EMBEDDED_LIBRARIES if settings.bots == "strict" else ())
    bots = None if settings.bots == "off" else Bots(user_agents=[*agents])
    return Access(allow=settings.allow, deny=settings.deny, bots=bots)
