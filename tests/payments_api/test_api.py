"""The answers of the reference API over HTTP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import uuid

import pytest
import requests

from drills.target import running_target, signed
from payments_api.settings import DEVELOPMENT_TOKEN

pytestmark = pytest.mark.process


def problem(answer: requests.Response) -> dict[str, object]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert {"type", "title", "detail"} <= set(body)
    return body


def test_liveness_and_readiness_are_separate(shared_target):
    """/health touches nothing, /health/ready asks the database."""
    assert requests.get(f"{shared_target.url}/health", timeout=5).json() == {"status": "ok"}
    assert requests.get(f"{shared_target.url}/health/ready", timeout=5).json() == {"status": "ready"}


def test_a_payment_moves_money_once_and_can_be_read_back(shared_target):
    """201 with a Location that shows the same transaction; both balances move by the amount."""
    before = shared_target.balance("acct-000010"), shared_target.balance("acct-000011")
    answer = shared_target.pay(debit="acct-000010", credit="acct-000011", amount=250)
    assert answer.status_code == 201
    paid = answer.json()
    assert requests.get(shared_target.url + answer.headers["location"], timeout=5).json() == paid
    after = shared_target.balance("acct-000010"), shared_target.balance("acct-000011")
    assert after == (before[0] - 250, before[1] + 250)


def test_a_client_that_disconnects_within_its_body_is_not_logged_as_a_server_failure():
    """Under overload there would be thousands of tracebacks; other clients are still served."""
    with running_target(stderr=subprocess.PIPE) as target:
        port = int(target.url.rpartition(":")[2])
        for path in ("/webhooks/standard", "/transactions"):
            with socket.create_connection(("127.0.0.1", port)) as leaving:
                leaving.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
                time.sleep(0.2)
        assert requests.get(f"{target.url}/health", timeout=5).status_code == 200
    with target.process.stderr as told:
        assert "Traceback" not in told.read()


def test_the_same_key_replays_the_first_answer(shared_target):
    """A retry of a payment gets the first answer again, says so, and moves no more money."""
    key = uuid.uuid4().hex
    first, again = shared_target.pay(key, amount=7), shared_target.pay(key, amount=7)
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


def test_a_refusal_is_replayed_too(shared_target):
    """An order refused for lack of funds stays refused under its key."""
    key = uuid.uuid4().hex
    assert [shared_target.pay(key, amount=10**9).status_code for _ in range(2)] == [422, 422]


def test_the_same_key_with_another_order_is_refused(shared_target):
    """A key belongs to one order."""
    key = uuid.uuid4().hex
    shared_target.pay(key, amount=1)
    assert problem(shared_target.pay(key, amount=2))["type"] == "urn:problem:key-reused"


def test_only_one_of_simultaneous_payments_with_one_key_takes_effect(shared_target):
    """Racing retries get the one payment, its replay, or "in flight"."""
    key, before = uuid.uuid4().hex, shared_target.balance("acct-000020")
    answers: list[requests.Response] = []

    def pay():
        answers.append(shared_target.pay(key, debit="acct-000020", credit="acct-000021", amount=100))

    threads = [threading.Thread(target=pay) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert shared_target.balance("acct-000020") == before - 100


@pytest.mark.parametrize(
    ("changes", "status", "kind"),
    [
        ({"amount": 10**9}, 422, "insufficient-funds"),
        ({"debit": "nobody"}, 404, "unknown-account"),
        ({"credit": "acct-000001"}, 422, "same-account"),
        ({"currency": "USD"}, 422, "currency-mismatch"),
        ({"amount": 0}, 422, "invalid-request"),
        ({"amount": "5"}, 422, "invalid-request"),
        ({"extra": 1}, 422, "invalid-request"),
    ],
)
def test_an_invalid_order_is_refused_with_its_reason(shared_target, changes, status, kind):
    """Each reason has its own problem type."""
    body = problem(shared_target.pay(**changes))
    assert (body["status"], body["type"]) == (status, f"urn:problem:{kind}")


def test_a_payment_needs_a_key(shared_target):
    """Without Idempotency-Key a retry could pay twice."""
    assert problem(shared_target.pay(""))["type"] == "urn:problem:missing-key"


@pytest.mark.parametrize("path", ["/nowhere", "/balance/nobody", "/transactions/none", "/balance/a/b"])
def test_404_is_a_problem_too(shared_target, path):
    """It is problem+json as well."""
    assert problem(requests.get(shared_target.url + path, timeout=5))["status"] == 404


def test_a_wrong_method_is_a_problem_that_names_the_right_one(shared_target):
    """405 keeps its Allow header."""
    answer = requests.delete(f"{shared_target.url}/health", timeout=5)
    assert problem(answer)["status"] == 405
    assert answer.headers["allow"] == "GET"


def test_an_event_takes_effect_once(shared_target):
    """The second delivery is answered as a duplicate."""
    event = f"evt_{uuid.uuid4().hex}"
    first, again = shared_target.deliver(event), shared_target.deliver(event)
    assert (first.status_code, first.json()["duplicate"]) == (202, False)
    assert (again.status_code, again.json()["duplicate"]) == (200, True)


def test_forged_stale_and_unknown_deliveries_are_refused(shared_target):
    """Another body, another secret, an old timestamp, a missing header, an unknown provider."""
    good = signed("evt_1", b"{}")
    forged = shared_target.deliver("evt_1", b'{"amount": 1}', **good)
    assert problem(forged)["type"] == "urn:problem:forged-webhook"
    garbled = shared_target.deliver("evt_1", **{"webhook-signature": "v1,%%% v2,AAAA nonsense"})
    assert problem(garbled)["type"] == "urn:problem:forged-webhook"
    stale = shared_target.deliver("evt_1", **signed("evt_1", b"{}", timestamp=int(time.time()) - 400))
    assert problem(stale)["type"] == "urn:problem:stale-webhook"
    bare = requests.post(f"{shared_target.url}/webhooks/standard", data=b"{}", timeout=5)
    assert problem(bare)["type"] == "urn:problem:missing-header"
    assert problem(shared_target.deliver("evt_1", provider="stranger"))["status"] == 404


def test_one_valid_signature_among_several_is_enough(shared_target):
    """During key rotation, senders sign with the old and the new key."""
    event = f"evt_{uuid.uuid4().hex}"
    good = signed(event, b"{}")["webhook-signature"]
    assert shared_target.deliver(event, **{"webhook-signature": f"v1,AAAA {good}"}).status_code == 202


def test_metrics_cover_requests_limits_and_the_process(shared_target):
    """Routes are templates, so that accounts don't grow the page; unknown paths share one label."""
    requests.get(f"{shared_target.url}/balance/acct-000003", timeout=5)
    requests.get(f"{shared_target.url}/no/such/path", timeout=5)
    page = requests.get(f"{shared_target.url}/metrics", timeout=5).text
    assert 'http_requests_total{method="GET",route="/balance/{account}",status="200"}' in page
    assert 'route="none"' in page
    assert "acct-000003" not in page
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_threads", "http_requests_in_flight"):
        assert f"\n{name} " in page


def test_stopping_drops_no_request():
    """SIGTERM while a slow answer is on its way: the answer arrives, then the process exits with 0."""
    with running_target(FAULTS=json.dumps({"health": {"delay_ms": 2000}})) as target:
        answers: list[int] = []

        def ask():
            answers.append(requests.get(f"{target.url}/health", timeout=10).status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        deadline = time.monotonic() + 20
        while "http_requests_in_flight 2" not in requests.get(f"{target.url}/metrics", timeout=5).text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        target.process.terminate()
        thread.join(10)
        assert target.process.wait(10) == 0
    assert answers == [200]


def test_faults_can_be_set_at_runtime_if_allowed():
    """Each deliberate fault shows in the answer, and without faults none does."""
    with running_target(FAULTS="{}") as target:

        def set_faults(**faults: object) -> int:
            return requests.put(f"{target.url}/faults", data=json.dumps(faults), timeout=5).status_code

        assert requests.get(f"{target.url}/health", timeout=5).status_code == 200
        assert set_faults(health={"error_ratio": 1.0}, balance={"wrong_body": True}) == 204
        assert problem(requests.get(f"{target.url}/health", timeout=5))["type"] == "urn:problem:fault"
        assert "surprise" in requests.get(f"{target.url}/balance/acct-000001", timeout=5).json()
        assert set_faults(health={"hang": True}, balance={"cut": True}) == 204
        with pytest.raises(requests.Timeout):
            requests.get(f"{target.url}/health", timeout=0.3)
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            _ = requests.get(f"{target.url}/balance/acct-000001", timeout=5).content
        assert set_faults(nowhere={}) == 422
        # A graceful stop would wait for the hanging request.
        target.process.kill()


def test_there_is_no_faults_endpoint_unless_allowed(shared_target):
    """Without FAULTS nobody can break the target from outside."""
    assert requests.put(f"{shared_target.url}/faults", data="{}", timeout=5).status_code == 404


def target_command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "payments_api", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_all_invalid_settings_are_reported_at_once_without_secrets():
    """One line each, exit code 2, no traceback."""
    done = target_command(
        PORT="x",
        LIMIT_HEALTH="60",
        TRUSTED_NETWORKS="here",
        WEBHOOK_SECRET="hush",
        FAULTS='{"health": {"delay_ms": "1"}}',
    )
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "PORT",
        "LIMIT_HEALTH",
        "TRUSTED_NETWORKS",
        "WEBHOOK_SECRET",
        "FAULTS",
    ]
    assert "hush" not in done.stderr


def test_a_port_in_use_is_reported_in_one_line(shared_target):
    """With exit code 2 and what to do about it."""
    done = target_command("--port", shared_target.url.rpartition(":")[2])
    assert done.returncode == 2
    assert done.stderr.startswith("PORT: can't listen on 127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1


def test_help_lists_every_setting():
    """--help is the reference of settings."""
    from payments_api.settings import VARIABLES

    text = target_command("--help").stdout
    assert all(name in text for name in VARIABLES)


def test_it_exits_with_its_parent():
    """--exit-with-parent: no orphan is left if the parent is killed."""
    starter = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-m', 'payments_api', '--port', '0', '--exit-with-parent'],"
        " stdout=subprocess.PIPE, text=True)\n"
        "print(child.stdout.readline().strip(), child.pid, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, timeout=20, check=True)
    url = done.stdout.split()[-2]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            requests.get(f"{url}/health", timeout=1)
        except requests.ConnectionError:
            return
        time.sleep(0.1)
    pytest.fail("the target outlived its parent")


def telegram(target, body: bytes, token: str | None = DEVELOPMENT_TOKEN) -> requests.Response:
    headers = {} if token is None else {"X-Telegram-Bot-Api-Secret-Token": token}
    return requests.post(f"{target.url}/webhooks/telegram", data=body, headers=headers, timeout=5)


def test_each_telegram_update_takes_effect_once(shared_target):
    """Identified by update_id."""
    first, second = (telegram(shared_target, b'{"update_id": 4711, "message": {}}') for _ in range(2))
    assert (first.status_code, first.json()) == (202, {"id": "4711", "duplicate": False})
    assert (second.status_code, second.json()) == (200, {"id": "4711", "duplicate": True})


@pytest.mark.parametrize(
    ("body", "token", "status", "kind"),
    [
        (b'{"update_id": 1}', "guessed", 401, "forged-webhook"),
        (b'{"update_id": 1}', None, 400, "missing-header"),
        (b"{}", DEVELOPMENT_TOKEN, 400, "missing-update-id"),
        (b'{"update_id": "1"}', DEVELOPMENT_TOKEN, 400, "missing-update-id"),
        (b"[" * 100_000, DEVELOPMENT_TOKEN, 400, "missing-update-id"),
        (b"\xff", DEVELOPMENT_TOKEN, 400, "missing-update-id"),
    ],
)
def test_an_invalid_telegram_update_is_refused(shared_target, body, token, status, kind):
    """With its reason."""
    answer = telegram(shared_target, body, token)
    assert answer.status_code == status
    assert problem(answer)["type"] == f"urn:problem:{kind}"


def test_a_signature_is_over_the_raw_bytes(shared_target):
    """The same JSON with another space is another body."""
    headers = signed("evt_raw", b'{"a":1}')
    url = f"{shared_target.url}/webhooks/standard"
    assert requests.post(url, data=b'{"a": 1}', headers=headers, timeout=5).status_code == 401
    assert requests.post(url, data=b'{"a":1}', headers=headers, timeout=5).status_code == 202


@pytest.mark.parametrize("path", ["/transactions", "/webhooks/standard"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused(shared_target, path, chunked):
    """Whether its length was announced or not."""
    body = b"x" * 2_000_000
    headers = {"Idempotency-Key": "large", "Content-Type": "application/json", **signed("evt_large", b"")}
    answer = requests.post(
        f"{shared_target.url}{path}", data=iter([body]) if chunked else body, headers=headers, timeout=10
    )
    assert answer.status_code == 413
    assert problem(answer)["title"] in {"Request Entity Too Large", "Content Too Large"}
