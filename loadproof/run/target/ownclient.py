"""This process's own requests to the target: sent like the load, but by a client that the load doesn't use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from loadproof.http.blocking import BlockingConnection
from loadproof.http.client import ClientConnections
from loadproof.http.messages import UNAUTHORIZED, Request, RequestTimeouts, Timing
from loadproof.http.origin import Origin
from loadproof.plan.clients import highest_client_index, marks_of
from loadproof.run.target.tokens import TokenHolder
from loadproof.scenario.target.auth import fixed_headers
from loadproof.scenario.target.headers import resolved_headers
from loadproof.scenario.target.way import way_of

if TYPE_CHECKING:
    from loadproof.http.answers import Answer
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.variables import Target


class OwnClient:
    """A client of its own, so its requests don't count towards the limits of the load's clients.

    For a single thread; close it by leaving its context.
    """

    def __init__(
        self, target: Target, scenario: Scenario, *, longest_s: float = math.inf, tokens: TokenHolder | None = None
    ) -> None:
        """The timeouts are the scenario's, capped at `longest_s`; without `tokens` it obtains tokens itself."""
        origin, timeouts = Origin.of(target.base_url, way_of(target)), timeouts_of(scenario, longest_s=longest_s)
        address, marks = marks_of(highest_client_index(scenario) + 1, scenario.clients, origin.host)
        self._headers = resolved_headers(target.headers) | fixed_headers(target.auth)
        self._tokens = tokens or TokenHolder(target, timeouts)
        self._connection = BlockingConnection(origin, timeouts, source_address=address, headers=marks)
        self._client = ClientConnections(lambda: self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def is_kept(self, *, within_s: float) -> bool:
        """Whether the target keeps the last request's connection open for at least this long."""
        return self._connection.is_kept(within_s=within_s)

    def ask(self, method: str, path: str, *, follow_redirects: bool = False) -> Answer:
        """The answer, whatever its status; TransportError if there is none, NoAccessError if no token was obtained."""
        headers = self._headers | self._tokens.headers()
        request = Request(method, path, headers=headers, follow_redirects=follow_redirects)
        answer = self._client.exchange(request, Timing())
        if answer.status == UNAUTHORIZED:
            self._tokens.refused()
        return answer


def timeouts_of(scenario: Scenario, *, longest_s: float = math.inf) -> RequestTimeouts:
    """The scenario's timeouts, with connect and total capped at `longest_s`."""
    timeouts = scenario.timeouts
    return RequestTimeouts(
        min(timeouts.connect, longest_s),
        min(timeouts.total, longest_s),
        timeouts.first_byte,
        timeouts.keep_alive_idle,
    )
