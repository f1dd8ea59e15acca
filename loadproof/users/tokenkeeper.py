"""Keeps a process supplied with an OAuth2 token: the first before its users start, each renewal before expiry.

The keeper is a user outside the plan: its requests are recorded like any others, as setup. All users of the process
send the same token, and wait for one only after a 401.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.event import AsyncResult, Event

from loadproof.api.calls import Call
from loadproof.api.tokens import NoTokenError, origin_of, read_token, token_request
from loadproof.errors import Problem, TargetError
from loadproof.plan.pacing import Due
from loadproof.rundir.rows import TOKEN
from loadproof.scenario.target.auth import token_url_of
from loadproof.scenario.target.operations import Operation
from loadproof.users.credentials import Credential
from loadproof.users.judging import UnexpectedAnswerError
from loadproof.users.post import THIS_PROCESS, Post
from loadproof.users.retryafter import retry_after_s
from loadproof.users.sending import Sender

if TYPE_CHECKING:
    from locust.env import Environment

    from loadproof.api.calls import Reply
    from loadproof.api.tokens import Token
    from loadproof.http.answers import Answer
    from loadproof.scenario.target.auth import OAuth2

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_ANY_STATUS: Final = list(range(200, 600))
"""Any status, because the body also says what is wrong."""


class Recorded(dict[str, Any]):
    """Context of a Locust request event that marks the request as already recorded."""


class _OfProcess(Credential):
    def __init__(self, keeper: TokenKeeper) -> None:
        work = keeper.workload
        super().__init__(keeper.renew, now_s=work.monotonic_s, of_all=work.api.headers)
        self._keeper = keeper

    def await_renewal(self) -> None:
        self._keeper.await_attempt()


class TokenKeeper(Sender):
    """Asks for tokens; from `keep` until the end of the test, a greenlet renews them in time."""

    abstract = True
    endpoint = TOKEN

    def __init__(self, environment: Environment, oauth2: OAuth2, url: str, post: Post) -> None:
        self.host = self.base_url = origin_of(url)
        self.post = post  # type: ignore[misc]  # of this process, as a simulation's users have theirs
        super().__init__(environment)
        request = token_request(oauth2, url)
        operation = Operation.model_validate({"method": "POST", "path": request.path, "expect": _ANY_STATUS})
        self._call = Call(operation, request)
        self.trouble = ""
        """Why there was no token at the last attempt."""
        self._next_s = math.inf
        self._pause_s = _FIRST_PAUSE_S
        self._asked_to_wait_s = 0.0
        self._wanted = Event()
        self._attempt: AsyncResult[bool] = AsyncResult()
        """The next attempt, or the one in progress."""
        self._keeping: gevent.Greenlet | None = None
        self.credential = _OfProcess(self)

    def context(self) -> Recorded:
        """Tells the code that records requests of plain users to skip this one."""
        return Recorded()

    def keep(self) -> None:
        """Renew tokens in the background until the test stops."""
        self._keeping = gevent.spawn(self._keep)
        self._keeping.link_exception(self._end)
        self.environment.events.test_stopping.add_listener(self._end)

    def renew(self) -> bool:
        """Renew the token now; waits for the attempt, and returns whether there is a new token."""
        if self._keeping is None:
            return False
        attempt = self._attempt
        self._wanted.set()
        return bool(attempt.get())

    def await_attempt(self) -> None:
        if self._keeping is not None:
            self._attempt.wait()

    def obtain(self) -> bool:
        """Ask for a token once; returns whether there was one."""
        tokens: list[Token] = []
        began_s = self.workload.monotonic_s()
        due = Due(self.workload.now_s(), is_setup=True)
        if self._send(self._call, functools.partial(self._read, tokens), due=due) is None:
            pause_s = max(self._pause_s, self._asked_to_wait_s)
            self._pause_s, self._asked_to_wait_s = min(2 * self._pause_s, _LONGEST_PAUSE_S), 0.0
            self._next_s = self.workload.monotonic_s() + pause_s
            return False
        self._pause_s = _FIRST_PAUSE_S
        self._next_s = began_s + tokens[-1].renew_after_s
        self.credential.take(f"Bearer {tokens[-1].value}")
        return True

    def _read(self, tokens: list[Token], reply: Reply) -> None:
        try:
            token = read_token(reply.answer)
        except NoTokenError as error:
            raise UnexpectedAnswerError(f"{TOKEN}: {error}") from None
        # Before any part of the reply is shown.
        self.workload.learn(token.value)
        tokens.append(token)

    def _record(self, name: str, call: Call, reply: Reply | None, error: Exception | None, **moments: Any) -> None:
        self.trouble = str(error)
        super()._record(name, call, reply, error, **moments)

    def _heed(self, name: str, answer: Answer, *_: object) -> None:  # noqa: ARG002
        """Only delays the next attempt: the keeper has no turns to skip."""
        self._asked_to_wait_s = retry_after_s(answer) or 0.0

    def _keep(self) -> None:
        while True:
            left_s = self._next_s - self.workload.monotonic_s()
            self._wanted.wait(None if left_s == math.inf else max(0.0, left_s))
            is_new = self.obtain()
            self._wanted.clear()
            attempt, self._attempt = self._attempt, AsyncResult()
            attempt.set(is_new)

    def _end(self, *_: object, **__: object) -> None:
        """Stop renewing, and release the users that wait for a token; runs before the users are stopped."""
        keeping, self._keeping = self._keeping, None
        self._missed.stopped_s = self.workload.now_s()
        if keeping is not None:
            keeping.kill(block=False)
            self._attempt.set(False)


def keep_token(environment: Environment, post: Post = THIS_PROCESS) -> None:
    """Obtain a token if the target file asks for one, and renew it until the test stops.

    TargetError if there is none.
    """
    keeper = token_keeper(environment, post)
    if keeper is None:
        return
    if not keeper.obtain():
        what, remedy = f"no access token: {keeper.trouble}", "check that this machine may ask for one"
        raise TargetError(Problem("target auth.oauth2.token_url", what, remedy, got=keeper.host))
    keeper.keep()


def token_keeper(environment: Environment, post: Post = THIS_PROCESS) -> TokenKeeper | None:
    """The keeper of this process's token, which its users send from now on; None if the target needs no token."""
    work = post.workload()
    auth, url = work.target.auth, token_url_of(work.target)
    if auth is None or auth.oauth2 is None or url is None:
        return None
    keeper = TokenKeeper(environment, auth.oauth2, url, post)
    work.credential = keeper.credential
    return keeper
