"""The target's limits per client, with each known trap of slowapi and its neighbours."""

from __future__ import annotations

import time

import pytest
import requests

from tests.targets import running_target, session_from

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def limited():
    settings = {f"LIMIT_{name}": "3/min" for name in ("HEALTH", "BALANCE", "TRANSACTIONS", "WEBHOOKS")}
    with running_target(**settings) as target:
        yield target


def statuses(session: requests.Session, urls: list[str]) -> list[int]:
    return [session.get(url, timeout=5).status_code for url in urls]


def test_exactly_n_are_admitted_in_a_window(limited):
    """A moving window admits N, not up to 2N - 1."""
    with session_from("127.2.0.1") as session:
        assert statuses(session, [f"{limited.url}/health"] * 6) == [200] * 3 + [429] * 3


def test_a_bucket_belongs_to_the_endpoint_not_to_the_path(limited):
    """Another account is the same endpoint: key_style="url" would count them apart."""
    with session_from("127.2.0.2") as session:
        urls = [f"{limited.url}/balance/acct-00000{number}" for number in range(5)]
        assert statuses(session, urls) == [200] * 3 + [429] * 2


def test_clients_are_told_apart_by_address(limited):
    """One client's excess is not another's."""
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
    """Garbage counts, and is refused with 429 once the limit is used up: decorators check too late."""
    with session_from("127.2.0.5") as session:
        answers = [session.post(f"{limited.url}/transactions", data=b"garbage", timeout=5) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [422] * 3 + [429]


def test_a_refusal_is_an_honest_problem(limited):
    """429 is problem+json with a whole number of seconds to wait."""
    with session_from("127.2.0.6") as session:
        statuses(session, [f"{limited.url}/health"] * 3)
        answer = session.get(f"{limited.url}/health", timeout=5)
    assert answer.headers["content-type"] == "application/problem+json"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_waiting_as_long_as_asked_is_enough():
    """Retry-After is rounded up: whoever waits that long is admitted."""
    with running_target(LIMIT_HEALTH="2/s") as target, session_from("127.2.0.7") as session:
        for _ in range(3):
            while (answer := session.get(f"{target.url}/health", timeout=5)).status_code == 200:
                pass
            time.sleep(int(answer.headers["retry-after"]))
            assert session.get(f"{target.url}/health", timeout=5).status_code == 200


def test_metrics_and_readiness_have_no_limit(limited):
    """Monitoring must not be throttled."""
    with session_from("127.2.0.8") as session:
        assert statuses(session, [f"{limited.url}/metrics", f"{limited.url}/health/ready"] * 5) == [200] * 10


def test_a_named_header_of_a_trusted_network_tells_the_client():
    """What docker-compose uses: the header counts from trusted networks only."""
    with running_target(LIMIT_HEALTH="2/min", CLIENT_HEADER="X-Client", TRUSTED_NETWORKS="127.3.0.0/16") as target:

        def ask(address: str, client: str) -> int:
            with session_from(address) as session:
                return session.get(f"{target.url}/health", headers={"X-Client": client}, timeout=5).status_code

        assert [ask("127.3.0.1", f"client-{number}") for number in range(4)] == [200] * 4
        assert [ask("127.4.0.1", f"client-{number}") for number in range(4)] == [200, 200, 429, 429]


def test_the_limiter_can_be_off(shared_target):
    """LIMITER=off: for tests of capacity."""
    with requests.Session() as session:
        assert statuses(session, [f"{shared_target.url}/health"] * 70) == [200] * 70
