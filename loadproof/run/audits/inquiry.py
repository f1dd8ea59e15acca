"""Asks the target what audits need to know: as clients that the load doesn't use, within the target's limits."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.api.calls import Reply
from loadproof.http.blocking import BlockingConnection
from loadproof.http.client import ClientConnections
from loadproof.http.messages import UNAUTHORIZED, RequestTimeoutError, Timing, TransportError, WantError
from loadproof.http.origin import Origin
from loadproof.outcome import Outcome, classify
from loadproof.plan.clients import highest_client_index, marks_named, seen_as
from loadproof.run.target.ownclient import timeouts_of
from loadproof.run.target.tokens import NoAccessError, TokenHolder
from loadproof.scenario.target.way import way_of
from loadproof.users.retryafter import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadproof.api.calls import Call
    from loadproof.http.answers import Answer
    from loadproof.rundir.manifest import Manifest

_CLIENTS: Final = 250
"""Clients that take turns, if the target can tell clients apart, because each has its own limits."""
_LONGEST_S: Final = 10.0
"""Timeout of one answer."""
_SLICE_S: Final = 0.2
_UNSAID_S: Final = 1.0
"""Pause after a throttled request without Retry-After."""
_MOST_FAILURES: Final = 5
"""After this many failures in a row on a path, nothing is asked there for a while."""
_WHILE_S: Final = 1.0


class UnaskedError(Exception):
    """A question was not asked or not answered; the text says why."""


@dataclass(frozen=True)
class Inquired:
    """A question, and the reply if there was one; times are Unix times in µs."""

    client: str
    sent_us: int
    ended_us: int
    reply: Reply | None
    outcome: str
    """An Outcome, based on the status alone."""

    @property
    def status(self) -> int:
        return self.reply.answer.status if self.reply else 0


class Inquirer:
    """Asks questions for at most `longest_s` in total; for a single thread, and to be closed."""

    def __init__(self, manifest: Manifest, *, longest_s: float, stop_requested: Callable[[], bool]) -> None:
        target, scenario = manifest.target, manifest.scenario
        self._origin, self._clients = Origin.of(target.base_url, way_of(target)), scenario.clients
        self._timeouts = timeouts_of(scenario, longest_s=_LONGEST_S)
        self._tokens = TokenHolder(target, self._timeouts)
        self._until_s = time.monotonic() + longest_s
        self._longest_s = longest_s
        self._stop_requested = stop_requested
        # After the clients of the load and the one that `OwnClient` uses.
        first = highest_client_index(scenario) + 2
        names = [seen_as(first + number, self._clients, self._origin.host) for number in range(_CLIENTS)]
        self._others = deque(dict.fromkeys(names))
        """Clients that the load doesn't use; the first one asks until a limit stops it."""
        self._not_before_s: defaultdict[tuple[str, str], float] = defaultdict(float)
        """When a client may ask again after being throttled, by client and path in the target file."""
        self._connections: dict[tuple[str, int], ClientConnections] = {}
        """Connections by client and thread."""
        self._opened: list[BlockingConnection] = []
        self._failures: Counter[str] = Counter()
        """Consecutive unanswered questions, by path in the target file."""
        self._failed_s = 0.0
        """When a question was last left unanswered."""
        self._ahead_s = time.time() - time.monotonic()

    def close(self) -> None:
        for connection in self._opened:
            connection.close()

    def ask(self, call: Call) -> Inquired:
        """Ask until the target's limits let the question through; UnaskedError if that takes too long."""
        return self.ask_together([call])[0]

    def wait_s(self, client: str, call: Call) -> float:
        """How many seconds the target's limits still keep the client from this call; negative or 0 if they don't."""
        return self._not_before_s[client, call.operation.path] - time.monotonic()

    def ask_together(self, calls: Sequence[Call], client: str | None = None, *, waits: bool = True) -> list[Inquired]:
        """Send calls at the same instant as one client; if all are throttled, wait and repeat them, if it `waits`.

        `client` is one of the load's, by its name in the journal; without it, a client that the load doesn't use asks.
        """
        path, given = calls[0].operation.path, client
        while True:
            client = self._free_client(path, self._others if given is None else deque([given]))
            inquired = self._send(client, calls)
            replies = [(inquiry.reply, inquiry.outcome) for inquiry in inquired]
            refused = [reply.answer for reply, outcome in replies if reply and outcome == Outcome.THROTTLED]
            wait_s = max((retry_after_s(answer) or _UNSAID_S for answer in refused), default=0.0)
            self._not_before_s[client, path] = time.monotonic() + wait_s
            if len(refused) < len(inquired) or not waits:
                self._note_failure(path, is_answered=any(reply for reply, _ in replies))
                return inquired

    def _note_failure(self, path: str, *, is_answered: bool) -> None:
        if is_answered:
            del self._failures[path]
        else:
            self._failures[path] += 1
            self._failed_s = time.monotonic()

    def await_target(self, call: Call, patience_s: float) -> None:
        """Wait until the target answers this call, with any status; UnaskedError if it doesn't within `patience_s`."""
        end_s = time.monotonic() + patience_s
        while self._send(self._others[0], [call])[0].reply is None:
            if time.monotonic() >= end_s:
                raise UnaskedError("the target stopped responding")
            self.pause(_SLICE_S)

    def pause(self, seconds: float) -> None:
        """Sleep; UnaskedError if the time runs out, or the run is stopped."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._check_time()
            time.sleep(min(left_s, _SLICE_S))

    def _check_time(self) -> None:
        if self._stop_requested():
            raise UnaskedError("the run was stopped")
        if time.monotonic() >= self._until_s:
            raise UnaskedError(f"there was no time left after {self._longest_s:g} s")

    def _free_client(self, path: str, clients: deque[str]) -> str:
        """The current client if its limits allow; else the next one that may ask, or the first that may ask again."""
        self._check_time()
        now_s = time.monotonic()
        if self._failures[path] >= _MOST_FAILURES and now_s < self._failed_s + _WHILE_S:
            raise UnaskedError(f"the target stopped responding to {path}")
        for _ in range(len(clients)):
            if self._not_before_s[clients[0], path] <= now_s:
                return clients[0]
            clients.rotate(-1)
        first = min(clients, key=lambda client: self._not_before_s[client, path])
        if self._not_before_s[first, path] > self._until_s:
            raise UnaskedError("the target's limits left no time")
        self.pause(self._not_before_s[first, path] - now_s)
        return first

    def _send(self, client: str, calls: Sequence[Call]) -> list[Inquired]:
        try:
            token = self._tokens.headers()
        except (NoAccessError, WantError) as error:
            raise UnaskedError(str(error)) from None
        calls = [call.with_headers(dict(call.request.headers) | token) for call in calls]
        connections = [self._connections_of(client, number) for number in range(len(calls))]
        if len(calls) == 1:
            return [self._exchange(client, calls[0], connections[0])]
        start = threading.Barrier(len(calls))

        def exchange(call: Call, own: ClientConnections) -> Inquired:
            start.wait()
            return self._exchange(client, call, own)

        with ThreadPoolExecutor(len(calls)) as threads:
            return list(threads.map(exchange, calls, connections))

    def _exchange(self, client: str, call: Call, connections: ClientConnections) -> Inquired:
        timing, answer, outcome = Timing(), None, ""
        try:
            answer = connections.exchange(call.request, timing)
        except TransportError as error:
            outcome = Outcome.TIMEOUT if isinstance(error, RequestTimeoutError) else Outcome.CONNECTION
        if answer is not None:
            outcome = self._outcome(answer, call)
        return Inquired(
            client,
            round(1e6 * (timing.sent_s + self._ahead_s)),
            round(1e6 * (timing.ended_s + self._ahead_s)),
            Reply(answer, call.operation) if answer is not None else None,
            outcome,
        )

    def _outcome(self, answer: Answer, call: Call) -> str:
        if answer.status == UNAUTHORIZED:
            self._tokens.refused()
        as_expected = answer.status in call.operation.statuses
        return classify(answer.status, as_expected=as_expected, has_retry_after="retry-after" in answer.headers)

    def _connections_of(self, client: str, thread: int) -> ClientConnections:
        if (client, thread) not in self._connections:
            self._connections[client, thread] = ClientConnections(lambda: self._connect(client))
        return self._connections[client, thread]

    def _connect(self, client: str) -> BlockingConnection:
        address, marks = marks_named(client, self._clients)
        connection = BlockingConnection(self._origin, self._timeouts, source_address=address, headers=marks)
        self._opened.append(connection)
        return connection
