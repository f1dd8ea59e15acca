"""Limits per client in each store, including the known pitfalls of slowapi and similar libraries."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack

import pytest
import requests

from drills.redisserver import RedisServer
from drills.target import running_target
from tests.addresses import session_from

pytestmark = pytest.mark.process


LIMITS = {f"LIMIT_{name}": "3/min" for name in ("HEALTH", "BALANCE", "TRANSACTIONS", "WEBHOOKS")}
LIMITERS = ["local", "slowapi", "redis", pytest.param("slowapi in redis", marks=pytest.mark.long)]


@pytest.fixture(scope="module", params=LIMITERS)
def limited(request):
    """A target for each store in which requests can be counted: all make the same promises."""
    limiter, _, is_remote = request.param.partition(" in ")
    with ExitStack() as stack:
        settings = {"LIMITER": limiter, **LIMITS}
        if is_remote or limiter == "redis":
            settings["REDIS_URL"] = stack.enter_context(RedisServer()).url
        yield stack.enter_context(running_target(**settings))


def statuses(session: requests.Session, urls: list[str]) -> list[int]:
    return [session.get(url, timeout=5).status_code for url in urls]


def test_exactly_n_requests_are_admitted_in_a_window(limited):
    """A moving window admits N, not up to 2N - 1."""
    with session_from("127.2.0.1") as session:
        assert statuses(session, [f"{limited.url}/health"] * 6) == [200] * 3 + [429] * 3


def test_a_bucket_belongs_to_the_endpoint_not_to_the_path(limited):
    """Another account is the same endpoint: key_style="url" would count them separately."""
    with session_from("127.2.0.2") as session:
        urls = [f"{limited.url}/balance/acct-00000{number}" for number in range(5)]
        assert statuses(session, urls) == [200] * 3 + [429] * 2


def test_clients_are_told_apart_by_address(limited):
    """One client's excess doesn't affect another."""
    for address in ("127.2.0.3", "127.2.0.4"):
        with session_from(address) as session:
            assert statuses(session, [f"{limited.url}/health"] * 3) == [200] * 3


def test_a_forwarded_header_of_a_stranger_is_not_believed(limited):
    """uvicorn trusts X-Forwarded-For from 127.0.0.1 by default; we don't."""
    with session_from("127.0.0.1") as session:
        answers = [
            session.get(f"{limited.url}/health", headers={"X-Forwarded-For": f"10.0.0.{number}"}, timeout=5)
            for number in range(5)
        ]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2


def test_the_limit_comes_before_body_validation(limited):
    """Garbage counts, and gets 429 once the limit is used up: decorators would check too late."""
    with session_from("127.2.0.5") as session:
        answers = [session.post(f"{limited.url}/transactions", data=b"garbage", timeout=5) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [422] * 3 + [429]


def test_a_refusal_is_a_problem_with_retry_after(limited):
    """429 is problem+json with a whole number of seconds to wait."""
    with session_from("127.2.0.6") as session:
        statuses(session, [f"{limited.url}/health"] * 3)
        answer = session.get(f"{limited.url}/health", timeout=5)
    assert answer.headers["content-type"] == "application/problem+json"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_a_connection_is_usable_after_a_refused_post(limited):
    """Its body was not read; the next request on the same connection is still answered."""
    with session_from("127.2.0.10") as session:
        for _ in range(6):
            refused = session.post(f"{limited.url}/transactions", data=b"x" * 300_000, timeout=5)
        assert refused.status_code == 429
        assert session.get(f"{limited.url}/health", timeout=5).status_code == 200


FIELD = re.compile(r'"(\w+)";r=(\d+);t=(\d+)')


def test_rate_limit_fields_say_what_is_left_and_when_there_is_more(limited):
    """On answers and refusals alike; Retry-After is no earlier than the field's time."""
    with session_from("127.2.0.11") as session:
        answers = [session.get(f"{limited.url}/balance/acct-000001", timeout=5) for _ in range(4)]
        lost = session.get(f"{limited.url}/balance/nobody", timeout=5)
        other = session.post(f"{limited.url}/transactions", data=b"{}", timeout=5)
    assert {answer.headers["ratelimit-policy"] for answer in [*answers, lost]} == {'"balance";q=3;w=60'}
    found = [FIELD.fullmatch(answer.headers["ratelimit"]).groups() for answer in answers]
    assert [(name, int(left)) for name, left, _ in found] == [("balance", left) for left in (2, 1, 0, 0)]
    assert all(50 <= int(seconds) <= 60 for _, _, seconds in found)
    assert answers[3].headers["retry-after"] == found[3][2]
    assert FIELD.fullmatch(other.headers["ratelimit"]).groups() == ("transactions", "2", "60")
    assert "retry-after" not in answers[2].headers


def test_monitoring_has_no_rate_limit_fields(limited):
    """Without a limit, none is announced."""
    assert not {"ratelimit", "ratelimit-policy"} & {
        name.lower() for name in requests.get(f"{limited.url}/metrics", timeout=5).headers
    }


@pytest.mark.long
@pytest.mark.parametrize("limiter", ["local", "slowapi"])
def test_waiting_for_retry_after_is_enough(limiter):
    """It is rounded up: a client that waits that long is admitted."""
    with running_target(LIMITER=limiter, LIMIT_HEALTH="2/s") as target, session_from("127.2.0.7") as session:
        for _ in range(3):
            while (answer := session.get(f"{target.url}/health", timeout=5)).status_code == 200:
                pass
            time.sleep(int(answer.headers["retry-after"]))
            assert session.get(f"{target.url}/health", timeout=5).status_code == 200


def test_metrics_and_readiness_have_no_limit(limited):
    """Monitoring must not be throttled."""
    with session_from("127.2.0.8") as session:
        assert statuses(session, [f"{limited.url}/metrics", f"{limited.url}/health/ready"] * 5) == [200] * 10


def test_a_configured_header_from_a_trusted_network_identifies_the_client():
    """What docker-compose uses: the header only counts from trusted networks."""
    with running_target(LIMIT_HEALTH="2/min", CLIENT_HEADER="X-Client", TRUSTED_NETWORKS="127.3.0.0/16") as target:

        def ask(address: str, client: str) -> int:
            with session_from(address) as session:
                return session.get(f"{target.url}/health", headers={"X-Client": client}, timeout=5).status_code

        assert [ask("127.3.0.1", f"client-{number}") for number in range(4)] == [200] * 4
        assert [ask("127.4.0.1", f"client-{number}") for number in range(4)] == [200, 200, 429, 429]


def test_the_limiter_can_be_off(shared_target):
    """LIMITER=off: for capacity tests."""
    with requests.Session() as session:
        assert statuses(session, [f"{shared_target.url}/health"] * 70) == [200] * 70


@pytest.mark.long
def test_penalties_over_http():
    """Each violation costs more; meanwhile all endpoints refuse, and waiting for Retry-After is enough."""
    settings = {"LIMIT_HEALTH": "2/s", "PENALTY_BASE": "1", "PENALTY_CAP": "3"}
    with running_target(**settings) as target, session_from("127.2.0.12") as session:
        waits = []
        for _ in range(3):
            while (answer := session.get(f"{target.url}/health", timeout=5)).status_code == 200:
                pass
            waits.append(int(answer.headers["retry-after"]))
            during = session.get(f"{target.url}/balance/acct-000001", timeout=5)
            assert (during.status_code, during.json()["type"]) == (429, "urn:problem:penalty")
            assert during.headers["retry-after"] == answer.headers["retry-after"]
            assert during.headers["ratelimit"] == f'"balance";r=0;t={during.headers["retry-after"]}'
            time.sleep(waits[-1])
        assert session.get(f"{target.url}/health", timeout=5).status_code == 200
    # The rest of the window plus penalties of 1, 2 and 3 s.
    assert waits == [2, 3, 4]


def test_environment_variables_of_slowapi_do_not_turn_limits_off():
    """The library reads RATELIMIT_ENABLED itself."""
    settings = {"LIMITER": "slowapi", "RATELIMIT_ENABLED": "false", **LIMITS}
    with running_target(**settings) as target, session_from("127.2.0.13") as session:
        assert statuses(session, [f"{target.url}/health"] * 4) == [200] * 3 + [429]


@pytest.mark.long
def test_slowapi_survives_a_redis_that_hangs_and_one_that_dies():
    """Its fallback counts; no request waits long, and none gets a 5xx."""
    with RedisServer() as server, session_from("127.2.0.14") as session:
        settings = {"LIMITER": "slowapi", "REDIS_URL": server.url, **LIMITS}
        with running_target(**settings) as target:
            assert statuses(session, [f"{target.url}/health"] * 4) == [200] * 3 + [429]
            server.hang()
            began_s = time.monotonic()
            assert statuses(session, [f"{target.url}/balance/acct-000001"] * 10) == [200] * 3 + [429] * 7
            assert time.monotonic() - began_s < 5
            server.kill()
            assert statuses(session, [f"{target.url}/transactions"] * 5) == [405] * 3 + [429] * 2
