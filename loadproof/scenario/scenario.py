"""Turns a scenario's YAML into a checked `Scenario`.

Who generates load, how much, for how long, and what is expected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from loadproof.outcome import Outcome
from loadproof.scenario.faults import Fault  # noqa: TC001 - pydantic resolves it
from loadproof.scenario.settings import Settings
from loadproof.scenario.strict import Duration, Name, Share, Strict
from loadproof.scenario.thresholds.audit import ONE_IN, Audit, AuditThreshold
from loadproof.scenario.thresholds.expectation import Expectation, parse_expectation
from loadproof.scenario.traffic.feeder import Feeder  # noqa: TC001 - pydantic resolves it
from loadproof.scenario.traffic.phase import Phase, Users  # noqa: TC001 - pydantic resolves them
from loadproof.scenario.traffic.retries import Retries  # noqa: TC001 - pydantic resolves it
from loadproof.scenario.traffic.usermix import UserMix
from loadproof.scenario.traffic.writtenname import written_name

RequestName = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^\S(.*\S)?$")]
"""Any name that a locustfile may give, like '/users/[id]' or 'GET /cart'."""
Tags = Annotated[list[str], Field(min_length=1, max_length=50)]


def _checked_expectation(text: str) -> str:
    parse_expectation(text)
    return " ".join(text.split())


ExpectationText = Annotated[str, AfterValidator(_checked_expectation)]


class RequestGroup(Strict):
    """Requests of one journey that are timed as one, from the first one's start to the last one's end."""

    requests: Annotated[list[Name], Field(min_length=2, max_length=100)] = Field(
        description="The group's requests, in the order of the journey."
    )
    deadline: Duration = Field(description="A group that takes longer doesn't count as goodput.")


DEFAULT_MIX: Final = {
    "balance": {"share": "50 %", "every": "2.5 s"},
    "transactions": {"share": "20 %", "every": "7.5 s"},
    "health": {"share": "20 %", "every": "1.25 s"},
    "webhooks": {"share": "10 %", "every": "24 s"},
}
"""Shares of the default mix; each `every` leaves room for three bursts within the default limits."""


class HeaderClients(Strict):
    """Clients that the target distinguishes by a header."""

    header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,60}$")] = Field(
        description="The target takes the client's identity from this header, from trusted proxies only."
    )


class Timeouts(Strict):
    """How long the parts of a request may take; a request that takes longer ends as `timeout`."""

    connect: Duration = Field(2.0, description="Time limit for establishing a connection.")
    first_byte: Duration | None = Field(None, description="Time limit from sending to the first byte of the response.")
    total: Duration = Field(10.0, description="Time limit from connecting or sending to the last byte of the response.")
    keep_alive_idle: Duration | None = Field(
        None, description="Close connections that were idle for this long; set it below the target's own idle timeout."
    )

    @property
    def stop_s(self) -> int:
        """How long users that are told to stop may take to finish what they are doing, in whole seconds."""
        return math.ceil(self.connect + self.total) + 1


class Threshold(Strict):
    """What must hold, and where: in which phases, for which endpoints, for answers with which outcome."""

    expect: ExpectationText = Field(examples=["p(95) < 200 ms"])
    endpoint: RequestName | list[RequestName] | None = Field(
        None,
        description="Requests, kinds of users (all that they send), or one group; default: all requests.",
    )
    phase: Name | list[Name] | None = Field(None, description="One phase or several; default: all except warm-up.")
    outcome: Outcome = Field(Outcome.OK, description="Quantiles only read responses with this outcome.")
    series: Literal["response", "service", "connect", "first_byte", "transfer"] = Field(
        "response",
        description="Which times: from the intended start, from the first byte sent, or a part of the latter.",
    )
    abort: bool = Field(
        default=False, description="End the run as soon as a window violates the threshold; needs `for`."
    )

    @field_validator("outcome", mode="before")
    @classmethod
    def _outcome_by_name(cls, value: object) -> object:
        return Outcome(value) if isinstance(value, str) and value in set(Outcome) else value

    @property
    def expectation(self) -> Expectation:
        return parse_expectation(self.expect)

    @property
    def scope(self) -> str:
        endpoints = " + ".join(_names(self.endpoint)) or "all endpoints"
        return f"{endpoints} · {' + '.join(_names(self.phase)) or 'all phases'}"


def _kind_of(threshold: object) -> str:
    is_audit = isinstance(threshold, AuditThreshold) or (isinstance(threshold, dict) and "audit" in threshold)
    return "an audit" if is_audit else "a metric"


AnyThreshold = Annotated[
    Annotated[Threshold, Tag("a metric")] | Annotated[AuditThreshold, Tag("an audit")], Discriminator(_kind_of)
]


class Scenario(Strict):
    """Who loads the target, how much and for how long, and what is expected of it. Times are in s, rates in 1/s."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    model: Literal["closed", "open"] = Field(
        description="A fixed number of users who wait for responses, or arrivals at a rate whatever the target does."
    )
    locustfile: str | None = Field(
        None, description="An unchanged Locust locustfile that sends the traffic, relative to this file."
    )
    tags: Tags | None = Field(None, description="Only run the locustfile's tasks with one of these tags.")
    exclude_tags: Tags | None = Field(None, description="Skip the locustfile's tasks with any of these tags.")
    mix: dict[Name, UserMix] = Field(default=DEFAULT_MIX, max_length=50, validate_default=True)
    groups: dict[Name, RequestGroup] = Field(
        default={}, max_length=20, description="Several requests of a journey that thresholds treat as one."
    )
    feeders: dict[Name, Feeder] = Field(
        default={}, max_length=20, description="Files from which users take their data, row by row."
    )
    clients: Literal["source-address", "shared"] | HeaderClients = Field(
        "source-address",
        description="How the target tells clients apart; shared by default beyond loopback.",
    )
    client_count: Users | None = Field(None, description="Open model: number of clients that share the arrivals.")
    max_in_flight: Users = Field(
        1000, description="Open model: maximum number of unanswered requests; further arrivals are dropped."
    )
    arrivals: Literal["poisson", "uniform"] = Field("poisson", description="Open model: how arrivals are spaced.")
    when_throttled: Literal["honour", "ignore", "stop"] = Field(
        "honour", description="After a refusal, wait for Retry-After (longer each time), keep sending, or stop sending."
    )
    expect_throttling: bool = Field(default=False, description="Allow a plan that exceeds the declared limits.")
    retries: Retries | None = Field(None, description="Users retry requests that fail, as real clients do.")
    timeouts: Timeouts = Timeouts()
    deadline: Duration = Field(description="A correct response that takes longer doesn't count as goodput.")
    phases: Annotated[list[Phase], Field(min_length=1, max_length=200)]
    all_thresholds: Annotated[list[AnyThreshold], Field(min_length=1, max_length=200, alias="thresholds")]
    faults: Annotated[list[Fault], Field(max_length=50)] = Field(
        default=[], description="Faults to inject during the run; they are undone again."
    )
    margin: Share = Field(
        0.05,
        description="`loadproof compare`: changes of times and rates up to this don't matter, nor do changes of a "
        "share of requests up to a tenth of it.",
    )
    record: Literal["requests"] | None = Field(
        None, description="Also write journal.csv.gz, with a row for each request; default: only counts."
    )
    settings: Settings = Settings()

    model_config = ConfigDict(serialize_by_alias=True)

    @model_validator(mode="before")
    @classmethod
    def _mixed_by_its_locustfile(cls, values: Any) -> Any:
        """A locustfile's weights are its mix, so the default doesn't apply."""
        if isinstance(values, dict) and values.get("locustfile") is not None:
            return {"mix": {}, "clients": "shared", **values}
        return values

    def with_requests(self, sent: Iterable[str]) -> Scenario:
        """For a locustfile: with what it sent, like 'GET /cart', as requests; '/cart' then means all its methods.

        In the order of their names: which one was sent first may differ from run to run.
        """
        methods: dict[str, list[str]] = {}
        for request in sorted(sent, key=_path_and_method):
            methods.setdefault(request.partition(" ")[2], []).append(request)
        mix = {name: UserMix.model_construct(share=1.0, requests=requests) for name, requests in methods.items()}
        return self.model_copy(update={"mix": mix})

    @property
    def records_requests(self) -> bool:
        """Whether the run directory has a journal."""
        return self.record == "requests" or bool(self.audits)

    @property
    def thresholds(self) -> list[Threshold]:
        """The thresholds on metrics, in order."""
        return [threshold for _, threshold in self.numbered_thresholds()]

    def numbered_thresholds(self) -> Iterator[tuple[int, Threshold]]:
        """The thresholds on metrics, each with its number from 0 among all thresholds."""
        for number, threshold in enumerate(self.all_thresholds):
            if isinstance(threshold, Threshold):
                yield number, threshold

    @property
    def audits(self) -> list[Audit]:
        """The audits that thresholds name, in order."""
        return [threshold.audit for threshold in self._audit_thresholds]

    def one_in(self, audit: Audit) -> int:
        """This audit has to detect the loss of one in this many payments or events, by the strictest threshold."""
        return max((either.one_in for either in self._audit_thresholds if either.audit == audit), default=ONE_IN)

    @property
    def _audit_thresholds(self) -> list[AuditThreshold]:
        return [threshold for threshold in self.all_thresholds if isinstance(threshold, AuditThreshold)]

    @property
    def client_total(self) -> int:
        """Clients of the whole run: in the closed model the most concurrent users of any phase."""
        if self.model == "open":
            return (self.client_count or 0) + sum(mix.clients or 0 for mix in self.mix.values())
        return max((phase.users or 0 for phase in self.phases), default=0)

    @property
    def duration_s(self) -> float:
        return sum(phase.duration_s for phase in self.phases)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Names of all requests."""
        return tuple(dict.fromkeys(name for kind in self.mix for name in self.requests_of(kind)))

    def requests_of(self, kind: str) -> tuple[str, ...]:
        """Names of the requests that this kind of user sends, in the order of its journey."""
        return tuple(self.mix[kind].requests or (kind,))

    def limit_of(self, request: str) -> str:
        """Name of the limit that requests of this name count against; a kind that is `like` another has the other's."""
        mix = self.mix.get(request)
        return mix.like if mix is not None and mix.like is not None else request

    def spenders_of(self, limit: str) -> tuple[str, ...]:
        """Kinds of users that send requests which count against the limit of this name."""
        return tuple(kind for kind in self.mix if limit in map(self.limit_of, self.requests_of(kind)))

    def group_of(self, threshold: Threshold) -> RequestGroup | None:
        """The group that it reads instead of single requests; None if it reads those."""
        named = _names(threshold.endpoint)
        return self.groups.get(named[0]) if len(named) == 1 else None

    def endpoints_of(self, threshold: Threshold) -> tuple[str, ...]:
        """Requests that it reads, each kind of user expanded to all that it sends; every request if it names none."""
        named = _names(threshold.endpoint)
        if self.locustfile is not None:
            named = tuple(map(written_name, named))
        endpoints = [name for one in named for name in (self.requests_of(one) if one in self.mix else (one,))]
        return tuple(dict.fromkeys(endpoints)) or self.endpoints

    def phases_of(self, threshold: Threshold) -> tuple[str, ...]:
        """Names of the phases that it reads; all except warm-up if it names none."""
        return _names(threshold.phase) or tuple(phase.name for phase in self.phases if not phase.warm_up)

    @property
    def phases_read(self) -> frozenset[str]:
        """Names of the phases that any threshold reads."""
        return frozenset(phase for threshold in self.thresholds for phase in self.phases_of(threshold))


def _path_and_method(request: str) -> tuple[str, str]:
    method, _, path = request.partition(" ")
    return path, method


def _names(value: str | list[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
