"""One kind of user in a scenario's mix: how much it sends, as which clients, and in what guise."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from loadproof.scenario.settings import NetworkText  # noqa: TC001 - pydantic resolves it
from loadproof.scenario.strict import Duration, Name, Share, Strict
from loadproof.scenario.target.operations import Status  # noqa: TC001 - pydantic resolves it

UserAgent = Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=300)]
Evasion = Literal["path", "method", "headers", "connection"]
EVADES, USER_AGENT = "evades", "user_agent"
"""Keys in a request's note: how it tried to get around a limit, and the User-Agent that it sent."""
NAMES_A_STRANGER: Final = ("X-Forwarded-For", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "Fly-Client-IP")
"""Headers in which proxies say who sent a request."""


class UserMix(Strict):
    """How much of the traffic one kind of user generates, and in the closed model how often each of them sends."""

    share: Share = Field(description="Share of the users (closed model) or of the arrivals (open model).")
    every: Duration | None = Field(None, description="Closed model: each user takes at most one turn in this time.")
    requests: Annotated[list[Name], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Names of the requests in this user's journey; default: one, named like this kind of user."
    )
    like: Name | None = Field(
        None, description="The kind of user whose requests these send under their own name; both share its limit."
    )
    clients: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="Open model: number of clients of their own; default: they share those of the other kinds.",
    )
    addresses: NetworkText | None = Field(
        None, description="Addresses of their clients, in 127.128.0.0/9; for `clients: source-address`."
    )
    user_agents: Annotated[list[UserAgent], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Each request has one of these as its User-Agent."
    )
    evades: Annotated[list[Evasion], Field(min_length=1, max_length=4)] | None = Field(
        None,
        description="Ways to get around limits: other spellings of the path, HEAD, headers that name a stranger, such "
        "as X-Forwarded-For, or a new connection for each request. Any response but a failure is right.",
    )
    expect: Status | Annotated[list[Status], Field(min_length=1)] | None = Field(
        None, description="Expected status, or several, whatever the response says; such as 403."
    )
