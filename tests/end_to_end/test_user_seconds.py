"""The closed model sends what was planned, or the verdict says who is to blame."""

from __future__ import annotations

import time

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.word import Word
from tests.commands import code_of, in_process, only_run, scenario_file, verdict_of
from tests.servers import answering, read_request, serving

pytestmark = pytest.mark.process

ALIVE = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'
USER = """
import time
from locust import task
from loadproof.users.user import ApiUser

class ShopUser(ApiUser):
    endpoint = "shop"

    def on_start(self):
        {on_start}

    @task
    def ask(self):
        {task}
"""
ASK = "self.send(self.api.ask_health(), lambda reply: None)"


def run_of(
    tmp_path,
    url: str,
    *,
    on_start: str = "pass",
    task: str = ASK,
    users: int = 10,
    seconds: int = 4,
    good: str = "90 %",
):
    """A run of `users` with one task per second each against this address."""
    files = tmp_path / "own"
    files.mkdir()
    (files / "shop.py").write_text(USER.format(on_start=on_start, task=task))
    scenario = scenario_file(
        tmp_path,
        mix={"shop": {"share": "100 %", "every": "1 s"}},
        phases=[{"name": "steady", "duration": f"{seconds} s", "users": users}],
        thresholds=[{"expect": f"goodput_ratio >= {good}"}],
    )
    options = ("--locustfiles", files, "--out", tmp_path / "out")
    done = in_process("run", scenario, *options, TARGET_URL=url)
    assert done.returncode == code_of(only_run(tmp_path / "out")), done.stdout + done.stderr
    return load_run(only_run(tmp_path / "out"))


def findings_of(run, word: Word) -> str:
    return "\n".join(finding.what for finding in findings_in(run) if finding.word is word)


def standing_still(after: int, for_s: float):
    """A server that answers at once, except for a stall of `for_s` seconds from request number `after` on."""
    asked_s: list[float] = []

    def script(connection, _) -> None:
        while read_request(connection):
            asked_s.append(time.monotonic())
            stands_until_s = asked_s[after] + for_s if len(asked_s) > after else 0.0
            time.sleep(max(0.0, stands_until_s - time.monotonic()))
            connection.sendall(ALIVE)

    return script


@pytest.mark.long
def test_turns_lost_to_a_stalled_target_are_not_goodput(tmp_path):
    """For two of eight seconds: only ten requests are late, but about twenty of eighty turns were not good."""
    with serving(standing_still(20, 2.5)) as url:
        run = run_of(tmp_path, url, seconds=8, good="95 %")
    counts = tally(run.intervals)
    missed = run.intervals[run.intervals["outcome"] == "missed"]
    assert counts.offered == pytest.approx(80, abs=8)
    assert missed["count"].sum() >= 8
    assert missed["second"].between(1, 6).all()
    assert counts.good / counts.offered < 0.85
    assert verdict_of(run.path)["thresholds"][0]["word"] == "FAIL"


@pytest.mark.long
def test_users_that_their_on_start_ended_are_missed(tmp_path):
    """Half of them never send: no PASS for half of the load."""
    raising = "assert id(self) and self.identity.index % 2"
    with serving(answering(*[ALIVE] * 50, then_close=False)) as url:
        run = run_of(tmp_path, url, on_start=raising)
    assert "users were missing" in findings_of(run, Word.INVALID)


@pytest.mark.long
def test_slow_user_code_is_not_blamed_on_the_target(tmp_path):
    """The event loop isn't blocked, but no user keeps its pace."""
    slow = ASK + "\n        self.pause(1.5)"
    with serving(answering(*[ALIVE] * 50, then_close=False)) as url:
        run = run_of(tmp_path, url, task=slow)
    assert "their own code or the event loop took too long" in findings_of(run, Word.INVALID)
    assert "missed" not in set(run.intervals["outcome"][run.intervals["count"] > 0])


@pytest.mark.long
def test_a_task_that_raises_does_not_change_the_pace(tmp_path):
    """It raises every time: as much is sent as without the error, and none of it counts as set-up."""
    with serving(answering(*[ALIVE] * 50, then_close=False)) as url:
        run = run_of(tmp_path, url, task=ASK + "\n        1 / 0")
    assert tally(run.intervals).sent == pytest.approx(40, abs=2)
    assert tally(run.setup).sent == 0
    assert "user-seconds" not in findings_of(run, Word.INVALID)


@pytest.mark.long
def test_think_time_within_the_pace_is_no_loss(tmp_path):
    """Two requests per task with a pause in between, and a login, as is common."""
    thoughtful = f"{ASK}\n        self.pause(0.3)\n        {ASK}"
    with serving(answering(*[ALIVE] * 50, then_close=False)) as url:
        run = run_of(tmp_path, url, on_start=ASK, task=thoughtful)
    assert "user-seconds" not in findings_of(run, Word.INVALID)
    assert "on_start, on_stop and authentication sent 10 requests outside the plan" in findings_of(run, Word.PASS)
    assert tally(run.setup).sent == 10
    assert tally(run.intervals).sent == pytest.approx(80, abs=8)
    assert tally(run.intervals).dropped == 0


@pytest.mark.long
def test_failed_logins_do_not_pass(tmp_path):
    """Whatever the target answers afterwards."""
    refused = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(refused, *[ALIVE] * 50, then_close=False)) as url:
        run = run_of(tmp_path, url, on_start=ASK)
    assert "of which 10 ended in server_error" in findings_of(run, Word.INCONCLUSIVE)
