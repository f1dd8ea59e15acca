"""The abstract base class of the users in locustfiles: what they have and what they can do."""

from __future__ import annotations

import inspect
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from locust import User

from loadproof.plan.pacing import Due
from loadproof.scenario.target.auth import AUTHORIZATION
from loadproof.users import entrance
from loadproof.users.judging import expect
from loadproof.users.logins import Login
from loadproof.users.sending import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment

    from loadproof.api.calls import Call, Reply
    from loadproof.api.guises import Guise
    from loadproof.plan.clients import Client
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.traffic.feeder import Row
    from loadproof.users.credentials import Credential
    from loadproof.users.feeders import Feed
    from loadproof.users.tries import Tries

__all__ = ["ApiUser", "api_users", "expect", "like", "sets_up", "take_likes"]


class ApiUser(Sender):
    """A client that sends requests at its pace, checks each answer, and backs off when throttled.

    A subclass sets `endpoint` and defines tasks that call `send`. Each task is a journey: one request, or several, each
    with its own name.
    """

    abstract = True

    def __init__(self, environment: Environment, identity: Client | None = None, number: int = 0) -> None:
        """Users that share a client and endpoint get different numbers, and so make different random choices."""
        super().__init__(environment, identity, number)
        self.payloads = self.workload.payloads
        self.api = self.workload.api
        self._feeds: dict[str, Feed] = {}
        if self.workload.feeders:
            # Before the first turn: reading a long file during one would hold up all users.
            directory = Path(inspect.getfile(type(self))).parent
            self._feeds = {name: self.workload.feed(name, directory) for name in self.workload.feeders}
        self._credential: Credential | None = self.workload.credential
        self._login: Login | None = None

    def feed(self, name: str) -> Row:
        """The next row of the scenario's feeder of this name; StopUser when none is left."""
        return self._feeds[name].take(self.identity, self.random)

    def pause(self, seconds: float) -> None:
        """Think time before the next request, in seconds; never blamed on the target.

        It is part of the turn, so `every` must leave room for it and for answers that just meet their deadline; in the
        open model, `max_in_flight` must.
        """
        self._turn.paused_s += seconds
        self._recorder.pausing += 1
        try:
            self.post.clock.sleep(seconds)
        finally:
            self._recorder.pausing -= 1

    def new_id(self) -> UUID:
        """An id drawn from this client's seeded choices that no other run has sent to this target."""
        drawn = self.random.getrandbits(128).to_bytes(16)
        return UUID(bytes=blake2b(drawn, key=self.workload.run_id.encode()[-64:], digest_size=16).digest())

    def login(
        self, call: Call, token: Callable[[Reply], str], *, header: str = AUTHORIZATION, scheme: str = "Bearer"
    ) -> Reply | None:
        """Like `send`, but all later requests of this user carry the token that `token` finds in the reply.

        The token goes into `header`, after `scheme` unless that is empty; a request that sets this header itself keeps
        its own value. After a 401, the call is sent again once, as part of the setup. Returns the reply if it contained
        a token.
        """
        if self._login is None or self._login.header != header:
            self._login = Login(self._log_in, workload=self.workload, header=header)
        self._credential = self._login
        return self._login.obtain_by(call, token, scheme)

    def _log_in(self, call: Call, check: Callable[[Reply], object], *, is_renewal: bool) -> Reply | None:
        """Send the login without the token it renews: a server may refuse any request with an unknown token."""
        due = Due(self.workload.now_s(), is_setup=True) if is_renewal else None
        return self._send_with(self.workload.credential, call, check, due=due)

    def send(self, call: Call, check: Callable[[Reply], object]) -> Reply | None:
        """Send the call, let `check` judge the reply, and record exactly one outcome; retry if the scenario says so.

        Each attempt has its own outcome. Returns the last reply if it was as expected, else None;
        UndeclaredRequestError if the scenario doesn't list the request's name.
        """
        if self._guise is not None:
            return self._send_in_guise(self._guise, call, check)
        if self._retries is not None:
            return self._send_patiently(
                lambda tries: self._send_with(self._credential, call, check, tries=tries), self._retries
            )
        if self._credential is None:
            return self._send(call, check)
        return self._send_with(self._credential, call, check)

    def _send_in_guise(self, guise: Guise, call: Call, check: Callable[[Reply], object]) -> Reply | None:
        """Returns None where only the status was checked: a task couldn't read such a reply."""
        call, is_unread = guise.on(call, self.random), guise.takes_any_answer

        def send(tries: Tries | None = None) -> Reply | None:
            return self._send_with(self._credential, call, (lambda _: None) if is_unread else check, tries=tries)

        reply = send() if self._retries is None else self._send_patiently(send, self._retries)
        return None if is_unread else reply


# Here, because plain Locust imports nothing of loadproof but the user classes.
entrance.stand_guard()


def api_users(environment: Environment) -> list[type[ApiUser]]:
    """The subclasses of ApiUser among the user classes that Locust found."""
    return [cls for cls in environment.user_classes if issubclass(cls, ApiUser)]


def take_likes(environment: Environment, scenario: Scenario) -> None:
    """Add a class for each kind of user with `like` in the mix: Locust tells users apart by the names of classes."""
    classes = environment.user_classes
    classes[:] = [cls for cls in classes if not hasattr(cls, "like")]
    by_endpoint = {cls.endpoint: cls for cls in api_users(environment)}
    for kind, mix in scenario.mix.items():
        if mix.like in by_endpoint:
            classes.append(like(by_endpoint[mix.like], kind))


def like(user_class: type[ApiUser], kind: str) -> type[ApiUser]:
    """A subclass that behaves the same but counts as another kind of user."""
    own = {"endpoint": kind, "like": user_class.endpoint, "__module__": user_class.__module__}
    return type(f"{user_class.__name__}As{kind.title()}", (user_class,), own)


def sets_up(user_class: type[ApiUser]) -> bool:
    """Whether the class has an `on_start`, which may send requests before the first task."""
    return user_class.on_start is not User.on_start
