"""Several worker processes: one port, one ledger, one metrics page, stopped together."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
import requests

from drills.target import running_target

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def two_workers():
    with running_target(LIMITER="off", WORKERS="2") as target:
        yield target


def metric(page: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE))


def test_both_workers_answer_on_one_port(two_workers):
    """The ready line is printed once both serve."""
    workers = psutil.Process(two_workers.process.pid).children()
    assert len(workers) == 2
    assert requests.get(f"{two_workers.url}/health", timeout=5).status_code == 200


def test_a_payment_takes_effect_once_whichever_worker_handles_it(two_workers):
    """The same key, over connections that reach both."""
    before = two_workers.balance("acct-000001")
    answers = [two_workers.pay("shared-key", amount=7) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert two_workers.balance("acct-000001") == before - 7


def test_simultaneous_payments_keep_the_sum(two_workers):
    """Two writers on one database take turns."""
    total = sum(two_workers.balance(f"acct-{number:06d}") for number in range(10, 14))

    def pay(number: int) -> None:
        for _ in range(25):
            two_workers.pay(debit=f"acct-{10 + number:06d}", credit=f"acct-{10 + (number + 1) % 4:06d}", amount=3)

    threads = [threading.Thread(target=pay, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(two_workers.balance(f"acct-{number:06d}") for number in range(10, 14)) == total


def test_metrics_are_sums_over_the_workers(two_workers):
    """Requests, memory and threads of both, whichever worker answers."""
    for _ in range(20):
        requests.get(f"{two_workers.url}/balance/acct-000001", timeout=5)
    # Workers share their counts only now and then.
    for _ in range(20):
        pages = [requests.get(f"{two_workers.url}/metrics", timeout=5).text for _ in range(6)]
        if all(metric(page, "http_requests_total") >= 20 for page in pages):
            break
        time.sleep(0.25)
    else:
        pytest.fail("the counts never became whole")
    workers = psutil.Process(two_workers.process.pid).children()
    memory = sum(worker.memory_info().rss for worker in workers)
    for page in pages:
        assert metric(page, "process_resident_memory_bytes") == pytest.approx(memory, rel=0.1)
        assert metric(page, "process_threads") >= 4
        assert metric(page, "process_open_fds") > 10
        assert metric(page, "process_cpu_seconds_total") > 0.1


@pytest.mark.long
def test_all_workers_stop_together():
    """SIGTERM to the first process is enough."""
    with running_target(LIMITER="off", WORKERS="2") as target:
        workers = psutil.Process(target.process.pid).children()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    assert target.process.returncode == 0


@pytest.mark.long
def test_the_target_exits_if_a_worker_dies():
    """Otherwise half a target would be measured as a whole one."""
    with running_target(LIMITER="off", WORKERS="2") as target:
        psutil.Process(target.process.pid).children()[0].kill()
        assert target.process.wait(10) != 0


def ended_by(code: str, **settings: str) -> int:
    """The exit code of a target whose startup is changed by this code; it is killed if it doesn't exit."""
    program = f"import os, signal, sys\nimport payments_api.__main__ as api\n{code}\nsys.exit(api.main())"
    with subprocess.Popen(
        [sys.executable, "-c", program, "--port", "0", "--exit-with-parent"],
        env={**os.environ, "ACCOUNTS": "50", "LIMITER": "off", **settings},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            return process.wait(30)
        finally:
            process.kill()


TERMINATE = "os.kill(os.getpid(), signal.SIGTERM)"


@pytest.mark.long
def test_a_signal_that_arrives_while_the_supervisor_checks_its_parent_is_not_lost():
    """At each check: there is no moment at which a signal must not arrive."""
    code = f"real = os.getppid\ndef look():\n    {TERMINATE}\n    return real()\nos.getppid = look"
    assert ended_by(code, WORKERS="2") == 0


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.long)])
def test_a_signal_that_arrives_before_it_serves_stops_it(workers):
    """While the ledger is being created, say."""
    code = f"make = api.create_database\ndef made(*told):\n    make(*told)\n    {TERMINATE}\napi.create_database = made"
    assert ended_by(code, WORKERS=workers) == 0


@pytest.mark.process
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(one, marks=pytest.mark.long) for one in (signal.SIGHUP, signal.SIGQUIT))]
)
def test_a_stopped_target_leaves_no_files(tmp_path, number, workers):
    """A closing terminal stops it, too."""
    with running_target(TMPDIR=str(tmp_path), WORKERS=workers) as target:
        assert requests.get(f"{target.url}/health", timeout=5).status_code == 200
        assert [path.name.startswith("loadproof-target-") for path in tmp_path.iterdir()] == [True]
        target.process.send_signal(number)
        assert target.process.wait(15) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.process
def test_a_target_with_a_database_creates_no_temporary_files(tmp_path):
    """So it leaves none if it is killed."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running_target(TMPDIR=str(temporary), DATABASE=str(tmp_path / "ledger.sqlite3")) as target:
        assert requests.get(f"{target.url}/health", timeout=5).status_code == 200
        target.process.kill()
        target.process.wait(15)
    assert list(temporary.iterdir()) == []
