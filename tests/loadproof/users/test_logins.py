"""A user that logs in: its later requests carry the token, and a 401 makes it log in again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.pool import Group

from tests import unpatched  # noqa: F401  # isort: skip

from loadproof.http.answers import Answer
from loadproof.outcome import SETUP
from loadproof.plan.pacing import Due
from loadproof.users.sending import UndeclaredRequestError
from simulation.playeduser import PlayedUser
from tests.loadproof.users.recorded import MIX, rows

if TYPE_CHECKING:
    from loadproof.users.user import ApiUser


class Shop(PlayedUser):
    """Issues a token for each login, and accepts only the last one."""

    def __init__(self, **how: Any) -> None:
        self.logins = 0
        self.asked: list[tuple[str, str]] = []
        """Paths, and the credential sent to each."""
        self.content = '{"token": "t-NUMBER"}'
        super().__init__(**how)

    def exchange(self, request, timing) -> Answer:
        answer = super().exchange(request, timing)
        self.asked.append((request.path, request.headers.get("Authorization", "")))
        if answer.status == 200 and request.path == "/login":
            self.logins += 1
            return Answer(200, {}, self.content.replace("NUMBER", str(self.logins)).encode())
        return answer


def log_in(user: ApiUser, **how: str):
    return user.login(user.api.call("POST", "/login", name="login"), lambda reply: reply["token"], **how)


def ask(user: ApiUser) -> None:
    user.send(user.api.call("GET", "/cart", name="cart"), lambda _: None)


def shop_that_logs_in_first(**how: Any) -> Shop:
    shop = Shop(task=ask, **{"mix": MIX} | how)
    shop.user.on_start = lambda: log_in(shop.user)
    return shop


def counted(shop: Shop, now_s: float) -> Counter[tuple[str, str, str]]:
    """Counts by setup or not, request and outcome."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in rows(shop, now_s):
        if row.series == "response":
            counts[SETUP if row.phase == SETUP else "", row.endpoint, row.outcome] += row.count
    return counts


def live(shop: Shop, until_s: float) -> Counter[tuple[str, str, str]]:
    life = shop.user.start(Group())
    shop.time.advance_to(until_s)
    life.kill(block=False)
    shop.time.advance_to(until_s)
    return counted(shop, until_s)


def test_a_user_that_logged_in_sends_its_token_with_each_request():
    """The login is setup."""
    shop = shop_that_logs_in_first()
    assert live(shop, 5.9) == {(SETUP, "login", "ok"): 1, ("", "cart", "ok"): 3}
    assert shop.asked == [("/login", ""), *[("/cart", "Bearer t-1")] * 3]


def test_a_401_logs_the_user_in_again_and_the_next_request_has_the_new_token():
    """The refused request is rejected and not repeated; the login is setup, and sent without the old token."""
    shop = shop_that_logs_in_first(statuses=[200, 200, 401])
    assert live(shop, 7.9) == {
        (SETUP, "login", "ok"): 2,
        ("", "cart", "ok"): 3,
        ("", "cart", "rejected"): 1,
    }
    assert [proof for _, proof in shop.asked] == ["", "Bearer t-1", "Bearer t-1", "", *["Bearer t-2"] * 2]
    assert shop.sent_s[3] - shop.sent_s[2] == pytest.approx(0.1), "at once, within the turn"


def test_a_401_that_persists_triggers_only_one_login():
    """There is no storm of logins."""
    shop = shop_that_logs_in_first(statuses=[200, 401, 200, *[401] * 20])
    counts = live(shop, 15.9)
    assert counts[SETUP, "login", "ok"] == 2
    assert counts["", "cart", "rejected"] == 8


def test_a_failed_login_is_repeated_after_a_401():
    """Its user's first request is refused, then the user is logged in."""
    shop = shop_that_logs_in_first(statuses=[503, 401])
    counts = live(shop, 5.9)
    assert counts[SETUP, "login", "server_error"] == 1
    assert counts[SETUP, "login", "ok"] == 1
    assert (counts["", "cart", "rejected"], counts["", "cart", "ok"]) == (1, 2)


def test_a_login_can_be_a_journeys_first_request():
    """Then it serves the turn, and each journey has its own token."""

    def journey(user) -> None:
        if log_in(user):
            ask(user)

    shop = Shop(task=journey, mix=MIX)
    assert live(shop, 3.9) == {("", "login", "ok"): 2, ("", "cart", "ok"): 2}
    assert [proof for _, proof in shop.asked] == ["", "Bearer t-1", "", "Bearer t-2"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "unreadable answer (KeyError)"),
        ('{"token": null}', "unreadable answer (LookupError)"),
        ('{"token": 5}', "login: no token"),
        ('{"token": ""}', "login: no token"),
        ('{"token": "a\\nb"}', "login: a token that can't be sent in a header"),
    ],
)
def test_a_reply_without_a_usable_token_is_invalid(content, told):
    """With the reason; the user remains without a token."""
    shop = shop_that_logs_in_first()
    shop.content = content
    reasons: list[str] = []
    shop.user.environment.events.request.add_listener(lambda exception, **_: reasons.append(str(exception)))
    assert live(shop, 1.9) == {(SETUP, "login", "invalid"): 1, ("", "cart", "ok"): 1}
    assert shop.asked[-1] == ("/cart", "")
    assert told in reasons[0]


def test_a_renewal_without_a_token_is_retried():
    """After five seconds at the earliest, unlike one whose token is refused, too."""
    shop = shop_that_logs_in_first(statuses=[200, 401, 503, 401, 401, 401, 503])
    counts = live(shop, 9.9)
    assert counts[SETUP, "login", "server_error"] == 2
    assert counts["", "cart", "rejected"] == 4, "two of them came within the five seconds"


def test_a_second_login_replaces_the_first_even_in_another_header():
    """Later requests only carry the new token."""
    shop = Shop(task=ask, mix=MIX)
    seen: list[dict[str, str]] = []
    exchange = shop.exchange
    shop.exchange = lambda request, timing: (seen.append(dict(request.headers)), exchange(request, timing))[1]  # type: ignore[method-assign]

    def log_in_twice() -> None:
        assert log_in(shop.user)["token"] == "t-1"
        assert log_in(shop.user, header="X-Session", scheme="")["token"] == "t-2"

    shop.user.on_start = log_in_twice
    live(shop, 1.9)
    assert seen == [{}, {}, {"X-Session": "t-2"}]


def test_a_token_can_go_into_another_header_without_a_scheme():
    """A session cookie, for example."""
    shop = Shop(task=ask, mix=MIX)
    seen: list[dict[str, str]] = []
    exchange = shop.exchange
    shop.exchange = lambda request, timing: (seen.append(dict(request.headers)), exchange(request, timing))[1]  # type: ignore[method-assign]
    shop.user.on_start = lambda: log_in(shop.user, header="X-Session", scheme="")
    live(shop, 1.9)
    assert seen == [{}, {"X-Session": "t-1"}]


def test_setup_requests_need_no_name_in_the_scenario_and_count_as_their_kind_of_user():
    """No threshold reads them; within a turn, they are refused."""
    shop = shop_that_logs_in_first(
        statuses=[200, 401], mix={"health": {"share": "100 %", "requests": ["cart"], "every": "2 s"}}
    )
    assert live(shop, 3.9) == {(SETUP, "health", "ok"): 2, ("", "cart", "ok"): 1, ("", "cart", "rejected"): 1}
    with pytest.raises(UndeclaredRequestError, match="request 'login' is not in the scenario"):
        gevent.spawn(shop.user.perform, Due(0.0), log_in).get()


def test_tokens_are_masked_as_soon_as_they_are_known():
    """In everything that this process writes."""
    shop = shop_that_logs_in_first()
    shop.content = '{"token": "c4nary-NUMBER"}'
    live(shop, 1.9)
    assert shop.work.mask("sent c4nary-1 to all") == "sent ${obtained token} to all"
