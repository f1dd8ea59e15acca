"""A process's OAuth2 token, from a real server: obtained before users start, renewed in time and after a 401."""

from __future__ import annotations

import time

import gevent
import pytest

from tests.unpatched import locust  # isort: skip

from loadproof.errors import TargetError
from loadproof.plan.pacing import Due
from loadproof.rundir.manifest import TargetFacts
from loadproof.rundir.rows import TOKEN
from loadproof.users.post import Post
from loadproof.users.tokenkeeper import keep_token
from loadproof.users.user import ApiUser
from simulation.rundirs import manifest, scenario
from tests.guarded import CLIENT, SECRET, guarded


class Process:
    """A process that sends: its users, and what its recorder holds."""

    def __init__(self, url: str, users: int = 1, **plan: object) -> None:
        oauth2 = {"token_url": f"{url}/token", "client_id": CLIENT, "client_secret": "CLIENT_SECRET"}
        target = TargetFacts(kind="own", base_url=url, limits={}, auth={"oauth2": oauth2})
        mix = {"health": {"share": "100 %", "every": "1 s"}}
        run = manifest(scenario(mix=mix, thresholds=[{"expect": "goodput_ratio >= 1 %"}], **plan))
        self.post = Post()
        self.work = self.post.assign(run.model_copy(update={"target": target}), rank=0, workers=1)
        self.work.begin(0.0)
        own = {"post": self.post, "host": url, "endpoint": "health", "tasks": [ask]}
        self.user_class = type("Asking", (ApiUser,), own)
        self.environment = locust.env.Environment(user_classes=[self.user_class])
        self.users = users

    def begin(self) -> None:
        keep_token(self.environment, self.post)
        self.living = [self.user_class(self.environment) for _ in range(self.users)]

    def ask_each(self, times: int = 1) -> None:
        """All users send at the same time, each this often, and wait for their answers."""

        def ask_so_often(user: ApiUser) -> None:
            for _ in range(times):
                user.perform(Due(self.work.now_s()))

        asking = [gevent.spawn(ask_so_often, user) for user in self.living]
        gevent.joinall(asking, timeout=10, raise_error=True)
        assert all(one.ready() for one in asking)

    def end(self) -> None:
        self.environment.events.test_stopping.fire(environment=self.environment)

    def outcomes(self, endpoint: str, phase: str | None = None) -> dict[str, int]:
        taken = gevent.spawn(self.work.recorder.take, self.work.now_s(), 1, last=True).get()
        rows = [row for row in taken.cells if row.endpoint == endpoint and row.series == "response"]
        assert {row.phase for row in rows} <= {phase} or phase is None
        return {row.outcome: sum(r.count for r in rows if r.outcome == row.outcome) for row in rows}


def ask(user: ApiUser) -> None:
    user.send(user.api.ask_health(), lambda _: None)


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("CLIENT_SECRET", SECRET)


@pytest.mark.slow
def test_a_token_is_renewed_before_it_expires():
    """It lasts two seconds; no user is ever refused, and no request waits for the next token."""
    with guarded(lasts_s=2) as server:
        process = Process(server.url)
        process.begin()
        until_s = time.monotonic() + 4.6
        while time.monotonic() < until_s:
            process.ask_each()
            gevent.sleep(0.05)
        process.end()
        assert set(server.counted("/health")) == {200}
        assert server.counted("/token") == {200: 4}
        assert process.outcomes(TOKEN, "setup") == {"ok": 4}


def test_tokens_that_are_revoked_are_renewed_once_for_all_users_of_the_process():
    """Each user is refused once, and its next request carries the new token."""
    with guarded() as server:
        process = Process(server.url, users=20)
        process.begin()
        process.ask_each()
        server.revoke()
        server.takes_s = 0.2
        process.ask_each(times=2)
        process.end()
        assert server.counted("/health") == {200: 40, 401: 20}
        assert server.counted("/token") == {200: 2}


def test_a_token_that_is_refused_after_its_renewal_is_not_renewed_again():
    """Each request is rejected, and the token server is left alone."""
    with guarded() as server:
        process = Process(server.url, users=3)
        process.begin()
        server.accepts = False
        for _ in range(4):
            process.ask_each()
        process.end()
        assert server.counted("/health") == {401: 12}
        assert server.counted("/token") == {200: 2}
        assert process.outcomes("health") == {"rejected": 12}


@pytest.mark.slow
def test_a_failed_token_renewal_is_retried_after_a_while():
    """The failure is reported as it is; until then, the target refuses."""
    with guarded(lasts_s=1.2) as server:
        process = Process(server.url)
        process.begin()
        server.token_answer = 500, {}
        gevent.sleep(1.3)
        process.ask_each()
        server.token_answer = None
        until_s = time.monotonic() + 6
        while 200 not in server.counted("/health") and time.monotonic() < until_s:
            gevent.sleep(0.1)
            process.ask_each()
        process.end()
        assert server.counted("/health")[200] == 1
        # After one second, when it is due for renewal; after the first 401; and two seconds later.
        assert server.counted("/token") == {200: 2, 500: 2}
        assert process.outcomes(TOKEN, "setup") == {"ok": 2, "server_error": 2}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, {}), "no access token: oauth2 token: status 200, but no text `access_token` in the answer"),
        ((400, {"error": "invalid_scope"}), "no access token: oauth2 token: status 400 (invalid_scope)"),
        ((503, {}), "no access token: server_error: status 503"),
    ],
)
def test_without_a_first_token_no_user_starts(answer, told):
    """The reason is one line."""
    with guarded(token_answer=answer) as server:
        process = Process(server.url)
        with pytest.raises(TargetError) as raised:
            process.begin()
    assert told in str(raised.value)


def test_a_renewal_cut_off_by_the_end_is_accounted_for():
    """And users that wait for it don't wait forever."""
    with guarded() as server:
        process = Process(server.url)
        process.begin()
        server.revoke()
        server.takes_s = 30
        asking = gevent.spawn(process.ask_each)
        gevent.sleep(0.3)
        assert process.work.recorder.yielding == 1, "an arrival would find no free user"
        process.end()
        asking.get(timeout=2)
        taken = gevent.spawn(process.work.recorder.take, process.work.now_s(), 1, last=True).get()
        assert taken.in_flight == 0
        assert [row.count for row in taken.cells if row.series == "abandoned" and row.endpoint == TOKEN] == [1]
