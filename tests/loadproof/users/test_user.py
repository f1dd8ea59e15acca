"""How users judge their answers: exactly one outcome each, whatever the target sends."""

from __future__ import annotations

import functools
import gzip
import json

import gevent
import pytest

from tests import unpatched  # noqa: F401 - before locust

from locust.env import Environment  # isort: skip

from loadproof.http.connection import Connection
from loadproof.http.headers import UnsendableHeaderError
from loadproof.http.messages import RequestTimeouts
from loadproof.http.origin import Origin
from loadproof.recording.requestlistener import RequestListener
from loadproof.scenario.target.operations import Endpoints
from loadproof.users.post import Post
from loadproof.users.user import expect
from locustfiles.balance import BalanceUser
from locustfiles.health import HealthUser
from locustfiles.transactions import TransactionUser
from locustfiles.webhooks import WebhookUser
from simulation.rundirs import manifest, scenario
from tests.servers import answering, read_request, serving

DEEP = b"[" * 5000 + b"]" * 5000
LONG = b"9" * 5000
PAYMENT = {"id": "pay_1", "debit": "acct-000001", "credit": "acct-000002", "amount": 1, "currency": "EUR"}


class Noting(RequestListener):
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.promises: list[str] = []
        self.unread_answers = 0

    def finished(self, *told: object) -> None:
        _, _, outcome, *_ = told
        self.outcomes.append(str(outcome))

    def unsent(self, _: str, want: str, *__: object) -> None:
        self.outcomes.append(f"want of {want}")

    def abandoned(self, *_: object, **__: object) -> None:
        self.outcomes.append("abandoned")

    def unread(self, *_: object) -> None:
        self.unread_answers += 1

    def retry_after(self, _: str, became: str, __: object) -> None:
        self.promises.append(became)


def outcome_of(user_class, body: bytes, **answered: object) -> str:
    """The outcome of such a user's first request, answered with this."""
    return " ".join(noted_of(user_class, body, **answered).outcomes)


def noted_of(
    user_class, body: bytes, *, status: str = "200 OK", headers: str = "", connect=None, **endpoints: object
) -> Noting:
    """What was recorded for such a user's first request, answered with this."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
    with serving(answering(head + body)) as url:
        return first_of(user_class, url, connect=connect, **endpoints)


def first_of(user_class, url: str, *, task=None, connect=None, **endpoints: object) -> Noting:
    """What was recorded for such a user's first request, sent to this URL."""
    post = Post(connect=connect)
    recorded = manifest(scenario())
    told = recorded.target.model_copy(update={"endpoints": Endpoints.model_validate(endpoints)})
    noting = Noting()
    post.assign(recorded.model_copy(update={"target": told}), rank=0, workers=1, recorder=noting)
    tested = type("Tested", (user_class,), {"host": url, "post": post})
    (task or next(iter(user_class.tasks)))(tested(Environment(user_classes=[user_class])))
    return noting


@pytest.mark.slow
@pytest.mark.parametrize(
    ("user_class", "body"),
    [
        (HealthUser, {"status": None}),
        (HealthUser, {"status": True}),
        (HealthUser, None),
        (BalanceUser, {"account": "acct-000000", "balance": None}),
        (BalanceUser, {"account": "acct-000000", "balance": "Infinity"}),
        (BalanceUser, {"account": "acct-000000", "balance": "NaN"}),
        (BalanceUser, {"account": "acct-000000", "balance": "sNaN"}),
        (BalanceUser, {"account": "acct-000000", "balance": True}),
        (BalanceUser, {"account": None, "balance": 1}),
        (TransactionUser, dict.fromkeys(PAYMENT)),
        (TransactionUser, PAYMENT | {"id": None}),
        (WebhookUser, {"duplicate": None}),
        (WebhookUser, {"duplicate": 0}),
        (WebhookUser, {}),
    ],
)
def test_null_and_the_like_are_invalid_answers(user_class, body):
    """Fields that the target file doesn't call absent must be present and right."""
    status = "201 Created" if user_class is TransactionUser else "200 OK"
    assert outcome_of(user_class, json.dumps(body).encode(), status=status) == "invalid"


def test_a_shortage_of_this_machine_is_not_an_outcome():
    """Nothing was sent to the target."""

    def connect(_: object, url: str) -> Connection:
        return Connection(Origin.of(url), RequestTimeouts(5.0, 5.0), source_address="192.0.2.1")

    assert outcome_of(HealthUser, b"", connect=connect) == "want of ports"


@pytest.mark.slow
@pytest.mark.parametrize("user_class", [HealthUser, BalanceUser, TransactionUser, WebhookUser])
@pytest.mark.parametrize("body", [DEEP, LONG, b'{"balance": NaN}', b"\xff\xfe", b"", b'{"status":' + LONG + b"}"])
def test_any_exception_of_a_parser_is_an_invalid_answer(user_class, body):
    """There is always exactly one outcome."""
    status = "201 Created" if user_class is TransactionUser else "200 OK"
    assert outcome_of(user_class, body, status=status) == "invalid"


@pytest.mark.parametrize(
    ("text", "became"),
    [
        ("0.5", []),
        ("-3", []),
        ("soon", ["retry_unreadable"]),
        ("Fri, 01 Jan 10000 00:00:00 GMT", ["retry_unreadable"]),
        (f"Fri, 01 Jan {'9' * 30} 00:00:00 GMT", ["retry_unreadable"]),
        ("", ["retry_missing"]),
    ],
)
def test_a_refusal_is_counted_by_what_its_retry_after_says(text, became):
    """And nothing is raised, whatever it says."""
    noted = noted_of(HealthUser, b"", status="429 Too Many", headers=f"Retry-After: {text}\r\n")
    assert (noted.outcomes, noted.promises) == (["throttled"], became)


PACKED = {
    "ours": gzip.compress(b'{"status": "ok", "more": "' + b"0" * 10_000_000 + b'"}'),
    "right": gzip.compress(b'{"status": ') + gzip.compress(b'"ok"}'),
    "wrong": gzip.compress(b'{"status": "ok"}')[:-5],
}


@pytest.mark.parametrize(
    ("packed", "status", "outcome", "unread"),
    [
        ("right", "200 OK", "ok", 0),
        ("wrong", "200 OK", "invalid", 0),
        ("ours", "200 OK", "invalid", 1),
        ("ours", "404 Not Found", "invalid", 0),
        ("ours", "500 Error", "server_error", 0),
        ("ours", "429 Too Many", "throttled", 0),
    ],
)
def test_our_own_limits_are_distinguished_from_the_targets_failures(packed, status, outcome, unread):
    """What the status alone shows is the target's, whatever the body."""
    noted = noted_of(HealthUser, PACKED[packed], status=status, headers="Content-Encoding: gzip\r\n")
    assert (noted.outcomes, noted.unread_answers) == ([outcome], unread)


def test_headers_beyond_our_limit_are_reported_as_ours():
    """There is no status, but the connection was fine."""
    noted = noted_of(HealthUser, b"", headers="".join(f"X-{number}: {'a' * 1000}\r\n" for number in range(70)))
    assert (noted.outcomes, noted.unread_answers) == (["invalid"], 1)


def test_a_check_that_does_not_read_the_body_is_not_affected():
    """The answer came, and was timed to its end."""

    class Easy(HealthUser):
        def _is_alive(self, reply) -> None:
            pass

    noted = noted_of(Easy, PACKED["ours"], headers="Content-Encoding: gzip\r\n")
    assert (noted.outcomes, noted.unread_answers) == (["ok"], 0)


def test_a_check_that_hides_the_error_still_counts_as_our_limit():
    """It asked for something we don't read, and caught the error."""

    class Careful(HealthUser):
        def _is_alive(self, reply) -> None:
            try:
                _ = reply.answer.json
            except ValueError:
                expect(condition=False, reason="health: no JSON")

    noted = noted_of(Careful, PACKED["ours"], headers="Content-Encoding: gzip\r\n")
    assert (noted.outcomes, noted.unread_answers) == (["invalid"], 1)


@pytest.mark.parametrize("location", ["http://[", "//[::1", "http://\\", ""])
def test_a_redirect_to_nowhere_is_an_answer(location):
    """With an unexpected status."""
    assert outcome_of(BalanceUser, b"", status="302 Found", headers=f"Location: {location}\r\n") == "invalid"


@pytest.mark.parametrize("status", ["099 Odd", "600 Odd", "999 Odd"])
def test_a_status_outside_all_classes_is_an_answer(status):
    """An invalid one: the connection was fine."""
    assert outcome_of(HealthUser, b'{"status": "ok"}', status=status) == "invalid"


@pytest.mark.parametrize("headers", ["Content-Length: 16\r\n", "X-A: b\r\n c\r\n"])
def test_unusual_but_valid_headers_are_ok(headers):
    """A repeated length, a folded header."""
    assert outcome_of(HealthUser, b'{"status": "ok"}', headers=headers) == "ok"


def test_a_payment_without_an_id_is_invalid_wherever_the_id_belongs():
    """Also if the target's Location doesn't repeat it."""
    without = json.dumps({"id": None}).encode()
    fields = {"answer": dict.fromkeys(("debit", "credit", "amount", "currency")), "location": False}
    assert outcome_of(TransactionUser, without, status="201 Created", transactions=fields) == "invalid"
    paid = json.dumps({"id": "pay_1"}).encode()
    assert outcome_of(TransactionUser, paid, status="201 Created", transactions=fields) == "ok"


def test_right_answers_are_ok():
    """Otherwise the tests above would prove nothing."""
    assert outcome_of(HealthUser, b'{"status": "ok"}') == "ok"
    assert outcome_of(BalanceUser, b'{"account": "acct-000000", "balance": "12.30"}') == "ok"
    assert outcome_of(WebhookUser, b'{"duplicate": false}') == "ok"


def test_any_exception_of_a_check_is_an_invalid_answer():
    """Including exceptions defined by the user."""

    class Odd(HealthUser):
        def _is_alive(self, _) -> None:
            raise ArithmeticError

    assert outcome_of(Odd, b'{"status": "ok"}') == "invalid"


def leaves(reply) -> None:
    raise SystemExit(3)


def is_right(reply) -> bool:
    return reply["status"] == "ok"


async def is_right_one_day(reply) -> None:
    expect(reply["status"] == "ok", "not ok")


def is_right_step_by_step(reply):
    yield expect(reply["status"] == "ok", "not ok")


@pytest.mark.parametrize("status", ["ok", "no"])
@pytest.mark.parametrize(
    ("check", "decides"),
    [(is_right, True), (leaves, False), (is_right_one_day, False), (is_right_step_by_step, False)],
)
def test_a_check_decides_or_the_answer_is_invalid(check, decides, status):
    """Its return value counts as well; something that would still have to be run has decided nothing."""

    class Checked(HealthUser):
        def _is_alive(self, reply):
            return check(reply)

    is_ok = decides and status == "ok"
    assert outcome_of(Checked, json.dumps({"status": status}).encode()) == ("ok" if is_ok else "invalid")


def by_a_timeout(ask) -> None:
    with gevent.Timeout(0.05, False):
        ask()


def by_a_kill(ask) -> None:
    asking = gevent.spawn(ask)
    asking.join(0.05)
    asking.kill()


@pytest.mark.parametrize("give_up", [by_a_timeout, by_a_kill])
def test_a_request_that_the_users_own_code_gives_up_is_a_timeout(give_up):
    """It was too slow for the user, and counts in every ratio."""

    def impatient(user) -> None:
        give_up(functools.partial(HealthUser.ask, user))

    def standing(connection, _) -> None:
        read_request(connection)
        connection.recv(1)

    with serving(standing) as url:
        assert first_of(HealthUser, url, task=impatient).outcomes == ["timeout"]


@pytest.mark.parametrize("value", ["Łukasz", "a\nb"])
def test_a_header_that_cant_be_sent_is_not_a_failure_of_the_target(value):
    """Nothing was sent: a feeder's row may contain a name outside Latin-1."""

    def unsendable(user) -> None:
        for make in (
            lambda: user.api.call("GET", "/items", headers={"X-Customer": value}),
            lambda: user.api.pay(debit="a", credit="b", amount=1, key=value),
        ):
            with pytest.raises(UnsendableHeaderError, match=": there is a") as refused:
                user.send(make(), lambda _: None)
            assert value not in str(refused.value)

    with serving(answering(b"")) as url:
        assert first_of(HealthUser, url, task=unsendable).outcomes == []


def test_a_header_that_is_a_number_is_sent():
    """As text."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def counting(user) -> None:
        user.send(user.api.call("GET", "/items", headers={"X-Count": 3}), lambda _: None)

    with serving(answering(head)) as url:
        assert first_of(HealthUser, url, task=counting).outcomes == ["ok"]
