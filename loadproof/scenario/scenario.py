"""A scenario's YAML to a checked `Scenario`: who loads, how much, for how long, and what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from loadproof.errors import InputError, Problem
from loadproof.outcome import Outcome
from loadproof.scenario.document import Document, YamlPath, parse_scalar, parse_yaml
from loadproof.scenario.expectation import RATIOS, Expectation, parse_expectation
from loadproof.scenario.strict import Duration, Name, Rate, Share, Strict, nearest, read_document, validate

_WINDOWED: Final = frozenset({"p", "goodput", "throughput", "burn_rate", *RATIOS})
_COMPARED: Final = frozenset({"p", "mean", "max", "goodput", "throughput", *RATIOS})
"""What can be judged in each window of a run, and beside a baseline."""

Users = Annotated[int, Field(ge=1, le=100_000)]
LimitText = Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,8}/(s|min|h)$")]


def _checked_expectation(text: str) -> str:
    parse_expectation(text)
    return " ".join(text.split())


ExpectationText = Annotated[str, AfterValidator(_checked_expectation)]


class UserMix(Strict):
    """How much of the traffic one kind of user makes, and in the closed model how often each of them sends."""

    share: Share = Field(description="Part of the users (closed model) or of the arrivals (open model).")
    every: Duration | None = Field(None, description="Closed model: each user sends at most once in this time.")


DEFAULT_MIX: Final = {
    "balance": {"share": "50 %", "every": "2.5 s"},
    "transactions": {"share": "20 %", "every": "7.5 s"},
    "health": {"share": "20 %", "every": "1.25 s"},
    "webhooks": {"share": "10 %", "every": "24 s"},
}
"""Shares of the default mix; each `every` leaves room for three bursts within the default limits."""


class HeaderClients(Strict):
    header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,60}$")] = Field(
        description="The target takes the client's identity from this header, from trusted proxies only."
    )


HttpClient = Literal["loadproof", "fasthttp", "requests"]


class Timeouts(Strict):
    connect: Duration = Field(2.0, description="Until the connection stands.")
    first_byte: Duration | None = Field(None, description="From sending until the first byte of the answer.")
    total: Duration = Field(10.0, description="From connecting or sending until the last byte of the answer.")


class Burst(Strict):
    """All users send one request at the same instant."""

    times: Annotated[int, Field(ge=1, le=1000)]
    every: Duration


class Phase(Strict):
    name: Name
    duration: Duration | None = Field(None, description="How long; a phase of bursts lasts times x every.")
    warm_up: bool = Field(default=False, description="Thresholds never read warm-up.")
    users: Users | None = Field(None, description="Closed model: concurrent users.")
    rate: Rate | None = Field(None, description="Open model: arrivals per second.")
    ramp: Duration | None = Field(None, description="Go linearly from the level before to this one in this time.")
    burst: Burst | None = Field(None, description="Closed model: the users send together instead of paced.")

    @property
    def duration_s(self) -> float:
        if self.burst is not None:
            return self.burst.times * self.burst.every
        return self.duration or 0.0


class Threshold(Strict):
    """What has to hold, and where: in these phases, of these endpoints, of answers with this outcome."""

    expect: ExpectationText = Field(examples=["p(95) < 200 ms"])
    endpoint: Name | list[Name] | None = Field(None, description="One or several, taken together; all if left out.")
    phase: Name | list[Name] | None = Field(None, description="One or several; all but warm-up if left out.")
    outcome: Outcome = Field(Outcome.OK, description="Quantiles read the answers of this outcome only.")
    series: Literal["response", "service", "connect", "first_byte", "transfer"] = Field(
        "response", description="Times from the intended start, from the first byte sent, or a part of the latter."
    )
    abort: bool = Field(default=False, description="End the run as soon as a window has broken it; needs `for`.")

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


class Settings(Strict):
    """Of the embedded reference target; ignored when the target is somebody's own."""

    limiter: Literal["slowapi", "off"] = "slowapi"
    limits: dict[Name, LimitText] = Field(
        default={"health": "60/min", "balance": "30/min", "transactions": "10/min", "webhooks": "5/min"},
        description="Requests that one client may send per endpoint.",
    )
    accounts: Annotated[int, Field(ge=2, le=1_000_000)] | None = Field(
        None, description="Funded accounts; enough for all clients if left out."
    )


class Scenario(Strict):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    model: Literal["closed", "open"] = Field(
        description="A fixed number of users who wait for answers, or arrivals at a rate whatever the target does."
    )
    mix: dict[Name, UserMix] = Field(default=DEFAULT_MIX, min_length=1, max_length=50, validate_default=True)
    clients: Literal["source-address", "shared"] | HeaderClients = Field(
        "source-address", description="What tells one client from the next in the target's eyes."
    )
    client_count: Users | None = Field(None, description="Open model: how many clients the arrivals are dealt to.")
    max_in_flight: Users = Field(1000, description="Open model: an arrival beyond so many unanswered is dropped.")
    arrivals: Literal["poisson", "uniform"] = Field("poisson", description="Open model: how arrivals are spaced.")
    when_throttled: Literal["honour", "ignore", "stop"] = Field(
        "honour", description="Wait for Retry-After, longer each time; send on regardless; or send no more."
    )
    expect_throttling: bool = Field(default=False, description="Allow a plan that exceeds the declared limits.")
    http_client: HttpClient = Field(
        "loadproof",
        description="What sends: loadproof's own, or that of Locust's FastHttpUser or HttpUser, to compare.",
    )
    timeouts: Timeouts = Timeouts()
    deadline: Duration = Field(description="A correct answer later than this is no goodput.")
    phases: Annotated[list[Phase], Field(min_length=1, max_length=200)]
    thresholds: Annotated[list[Threshold], Field(min_length=1, max_length=200)]
    settings: Settings = Settings()

    @property
    def client_total(self) -> int:
        """Clients of the whole run: in the closed model the most concurrent users of any phase."""
        if self.model == "open":
            return self.client_count or 0
        return max((phase.users or 0 for phase in self.phases), default=0)

    @property
    def duration_s(self) -> float:
        return sum(phase.duration_s for phase in self.phases)

    def endpoints_of(self, threshold: Threshold) -> tuple[str, ...]:
        return _names(threshold.endpoint) or tuple(self.mix)

    def phases_of(self, threshold: Threshold) -> tuple[str, ...]:
        return _names(threshold.phase) or tuple(phase.name for phase in self.phases if not phase.warm_up)


def _names(value: str | list[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def load_scenario(path: Path, overrides: Mapping[str, str] | None = None) -> Scenario:
    """Read and check a scenario; InputError tells at once all that is wrong with it.

    `overrides` come from the command line: {'phases.steady.duration': '5 s'}; a phase goes by its name.
    """
    document = read_document(path)
    for key, text in (overrides or {}).items():
        _override(document, key, text)
    return check_scenario(document)


def check_scenario(document: Document) -> Scenario:
    scenario = validate(Scenario, document)
    problems = [
        Problem(document.where(path), what, remedy, got=got) for path, what, got, remedy in _contradictions(scenario)
    ]
    if problems:
        raise InputError(problems)
    return scenario


def _override(document: Document, key: str, text: str) -> None:
    where = f"--set {key}={text}"
    *parents, last = key.split(".")
    value = document.value
    for part in parents:
        value = value.setdefault(part, {}) if isinstance(value, dict) else _item(value, part)
    if isinstance(value, dict):
        # A list or mapping is YAML; anything else is taken as it stands, colons and all.
        value[last] = parse_yaml(text, where).value if text.startswith(("{", "[")) else parse_scalar(text)
    else:
        raise InputError(Problem(where, "no such place in the scenario", "give a path like phases.steady.duration"))


def _item(value: Any, part: str) -> Any:
    """An item of a list by its `name`, or by its number from 0."""
    if not isinstance(value, list):
        return None
    named = [item for item in value if isinstance(item, dict) and item.get("name") == part]
    if named:
        return named[0]
    return value[int(part)] if part.isdecimal() and int(part) < len(value) else None


_Contradiction = tuple[YamlPath, str, str | None, str]
"""Path, what is wrong, the value found, the remedy."""


def _contradictions(scenario: Scenario) -> Iterator[_Contradiction]:
    """What each field allows and the whole does not."""
    yield from _mix_contradictions(scenario)
    for index, phase in enumerate(scenario.phases):
        for what, got, remedy in _phase_contradictions(scenario, phase):
            yield ("phases", index), what, got, remedy
        if phase.name in {earlier.name for earlier in scenario.phases[:index]}:
            yield ("phases", index, "name"), "a phase of this name stands above", phase.name, "give it another name"
    if all(phase.warm_up for phase in scenario.phases):
        yield ("phases",), "every phase is warm-up", None, "add a phase that thresholds read"
    for index, threshold in enumerate(scenario.thresholds):
        for key, what, got, remedy in _threshold_contradictions(scenario, threshold):
            yield ("thresholds", index, key), what, got, remedy
    if not any(threshold.expectation.metric.name.startswith("goodput") for threshold in scenario.thresholds):
        remedy = "add `expect: goodput_ratio >= 99 %`: a target that refuses everything must not pass"
        yield ("thresholds",), "no goodput is expected", None, remedy


def _mix_contradictions(scenario: Scenario) -> Iterator[_Contradiction]:
    total_share = sum(mix.share for mix in scenario.mix.values())
    if abs(total_share - 1) > 1e-6:
        yield ("mix",), "the shares don't add up", f"{total_share * 100:.6g} %", "make them 100 % together"
    if scenario.model == "open" and scenario.client_count is None:
        yield ("client_count",), "missing in the open model", None, "say how many clients share the arrivals"
    for name, mix in scenario.mix.items():
        if scenario.model == "closed" and mix.every is None:
            yield ("mix", name, "every"), "missing in the closed model", None, "say how often each user sends"


def _phase_contradictions(scenario: Scenario, phase: Phase) -> Iterator[tuple[str, str | None, str]]:
    wanted, unwanted = ("users", "rate") if scenario.model == "closed" else ("rate", "users")
    if getattr(phase, wanted) is None:
        yield f"no `{wanted}` in the {scenario.model} model", None, f"add `{wanted}`"
    if getattr(phase, unwanted) is not None:
        yield f"`{unwanted}` in the {scenario.model} model", str(getattr(phase, unwanted)), f"use `{wanted}`"
    if phase.burst is not None and scenario.model == "open":
        yield "a burst in the open model", None, "use a closed model, or a phase with a high rate"
    if (phase.duration is None) == (phase.burst is None):
        yield "exactly one of `duration` and `burst` is needed", None, "give one of them"
    if phase.ramp is not None and (phase.burst is not None or phase.ramp > phase.duration_s):
        yield "the ramp doesn't fit into the phase", f"{phase.ramp:g} s", "shorten it or leave it out"


def _threshold_contradictions(scenario: Scenario, threshold: Threshold) -> Iterator[tuple[str, str, str | None, str]]:
    phases = {phase.name: phase for phase in scenario.phases}
    for name in scenario.endpoints_of(threshold):
        if name not in scenario.mix:
            yield "endpoint", "no such endpoint in the mix", name, nearest(name, list(scenario.mix))
    for name in scenario.phases_of(threshold):
        if name not in phases:
            yield "phase", "no such phase", name, nearest(name, list(phases))
        elif phases[name].warm_up:
            yield "phase", "thresholds never read warm-up", name, "name a phase after it"
    expectation = threshold.expectation
    metric = expectation.metric.name
    yield from _window_contradictions(scenario, threshold, expectation)
    if expectation.of_baseline and metric not in _COMPARED:
        yield "expect", "not comparable with a baseline", threshold.expect, f"one of {', '.join(sorted(_COMPARED))}"
    if metric == "spread" and not all(phases[n].burst for n in scenario.phases_of(threshold) if n in phases):
        yield "expect", "only a phase of bursts has a spread", threshold.expect, "name a phase with `burst`"
    if metric.startswith(("goodput", "count", "throughput")) and expectation.wants_low:
        yield "expect", "an upper limit on what should be high", threshold.expect, "use >="


def _window_contradictions(
    scenario: Scenario, threshold: Threshold, expectation: Expectation
) -> Iterator[tuple[str, str, str | None, str]]:
    window_s = expectation.window_s
    if window_s is None:
        if threshold.abort:
            yield "abort", "no window that could be broken", threshold.expect, "add a window, like `for 10 s`"
        return
    phases = [phase for phase in scenario.phases if phase.name in scenario.phases_of(threshold)]
    if expectation.metric.name not in _WINDOWED or expectation.of_baseline:
        remedy = f"leave the window out; it goes with {', '.join(sorted(_WINDOWED))} and a limit"
        yield "expect", "not judged by windows", threshold.expect, remedy
    elif window_s < 1 or window_s % 1:
        yield "expect", "a window of parts of a second", f"{window_s:g} s", "use whole seconds"
    elif any(phase.duration_s < window_s for phase in phases):
        yield "expect", "the window is longer than a phase", f"{window_s:g} s", "shorten it, or name longer phases"
