"""Complete runs against a service that answers no request without a valid token."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import yaml

from loadproof.analysis.frames.run import load_run
from tests.commands import content_of, in_process, only_run, verdict_of
from tests.guarded import CLIENT, SECRET, TOKEN, Guarded, guarded

pytestmark = pytest.mark.process

MEMBER = """
import sys
from locust import task
from loadproof.users.user import ApiUser

class Member(ApiUser):
    endpoint = "member"

    def on_start(self):
        form = {"user": "ada", "password": "right"}
        self.login(self.api.call("POST", "/login", name="login", form=form), token=lambda reply: reply["token"])

    @task
    def look(self):
        account = self.send(self.api.call("GET", "/account"), lambda reply: None)
        if account and "seen" in account.answer.json:
            print("printed", account["seen"])
            raise RuntimeError(account["seen"])
"""
OPEN = {
    "model": "open",
    "client_count": 20,
    "mix": {"health": {"share": "100 %"}},
    "phases": [{"name": "steady", "duration": "4 s", "rate": "50 rps"}],
}
CLOSED = {
    "model": "closed",
    "mix": {"health": {"share": "100 %", "every": "200 ms"}},
    "phases": [{"name": "steady", "duration": "4 s", "users": 10}],
}
MEMBERS = CLOSED | {"mix": {"member": {"share": "100 %", "every": "200 ms"}}}


class Suite:
    """Scenario, target file and users against a server, and the results of commands on them."""

    def __init__(self, path: Path, server: Guarded, plan: dict, **auth: object) -> None:
        self.path, self.shown = path, ""
        thresholds = [{"expect": "goodput_ratio >= 60 %"}]
        plan = {"name": "guarded", "deadline": "1 s", "thresholds": thresholds, **plan}
        (path / "plan.yaml").write_text(yaml.safe_dump(plan))
        oauth2 = {"token_url": "/token", "client_id": CLIENT, "client_secret": "CLIENT_SECRET", **auth}
        target = {"base_url": server.url} | ({} if "member" in plan["mix"] else {"auth": {"oauth2": oauth2}})
        (path / "target.yaml").write_text(yaml.safe_dump(target))
        self.files = [path / "plan.yaml", "--target", path / "target.yaml"]
        if "member" in plan["mix"]:
            (path / "users").mkdir()
            (path / "users/member.py").write_text(MEMBER)
            self.files += ["--locustfiles", path / "users"]

    def command(self, name: str, *more: object, secret: str = SECRET) -> int:
        done = in_process(name, *self.files, *more, CLIENT_SECRET=secret)
        self.shown += done.stdout + done.stderr
        return done.returncode

    def run(self, workers: int = 1) -> dict:
        """Run it; returns the verdict, which accounts for every request sent."""
        self.command("run", "--out", self.path / "reports", "--workers", workers)
        verdict = verdict_of(only_run(self.path / "reports"))
        assert {threshold["word"] for threshold in verdict["thresholds"]} == {"PASS"}, self.shown
        assert "accounted for" not in json.dumps(verdict)
        return verdict

    @property
    def left(self) -> str:
        """Everything that a run left behind and that commands showed, as one text."""
        files = [file for file in sorted((self.path / "reports").rglob("*")) if file.is_file()]
        assert files
        return self.shown + "".join(content_of(file).decode(errors="replace") for file in files)


@contextmanager
def revoked_after(server: Guarded, requests: int, path: str) -> Iterator[None]:
    """Revoke all tokens once, after this many answered requests."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            if sum(server.counted(path).values()) >= requests:
                server.revoke()
                return

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()


def rejected(verdict: dict) -> int:
    (row,) = [row for row in verdict["summary"] if row["endpoint"] in {"health", "member"}]
    return row["outcomes"]["rejected"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("plan", "workers"),
    [(CLOSED, 1), (OPEN, 2)],
    ids=["closed", "open, two workers"],
)
def test_short_lived_tokens_are_renewed_in_time(tmp_path, plan, workers):
    """Each process renews its own; token requests are set-up, and all of them are accounted for."""
    with guarded(lasts_s=2) as server:
        suite = Suite(tmp_path, server, plan)
        verdict = suite.run(workers)
    assert set(server.counted("/health")) == {200}
    assert set(server.counted("/token")) == {200}
    told = re.search(r"authentication sent (\d+) requests outside the plan", json.dumps(verdict))
    # The others belong to the probe and the sampler of /metrics.
    assert told is not None
    assert 3 * workers <= int(told[1]) < server.counted("/token")[200]
    assert TOKEN not in suite.left
    assert SECRET not in suite.left


@pytest.mark.long
def test_a_revoked_token_of_a_process_is_renewed_once(tmp_path):
    """Arrivals until then are rejected, and not repeated."""
    with guarded() as server, revoked_after(server, 60, "/health"):
        suite = Suite(tmp_path, server, OPEN)
        verdict = suite.run()
    assert 1 <= rejected(verdict) <= 10
    assert rejected(verdict) == server.counted("/health")[401]
    # Two for the process, one for the probe, and one or two for the sampler of /metrics.
    assert 4 <= server.counted("/token")[200] <= 5
    assert TOKEN not in suite.left


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_users_with_revoked_tokens_log_in_once_more(tmp_path, workers):
    """Each of them is rejected once; tokens shown by the target or by users' code are masked."""
    with guarded() as server, revoked_after(server, 60, "/account"):
        server.tells = "all that it is told"
        suite = Suite(tmp_path, server, MEMBERS)
        verdict = suite.run(workers)
    assert rejected(verdict) == server.counted("/account")[401] == 10
    assert server.counted("/login") == {200: 2 * 10}
    log = (only_run(tmp_path / "reports") / "generator.log").read_text()
    assert "printed Bearer ${obtained token}" in log
    assert "RuntimeError: Bearer ${obtained token}" in log
    assert TOKEN not in suite.left


BROUGHT = """
from loadproof import HttpUser
from locust import constant, task

class Member(HttpUser):
    wait_time = constant(0.1)

    @task
    def look(self):
        with self.client.get("/account", catch_response=True) as answer:
            if "seen" in answer.json():
                print("printed", answer.json()["seen"])
                answer.failure(answer.json()["seen"])
"""


@pytest.mark.long
def test_users_of_a_locustfile_get_the_target_files_token_too(tmp_path):
    """It is renewed once when it is revoked, each request is counted once, and the token is masked."""
    with guarded() as server, revoked_after(server, 60, "/account"):
        server.tells = "all that it is told"
        suite = Suite(tmp_path, server, CLOSED)
        (tmp_path / "brought.py").write_text(BROUGHT)
        del suite.files[0]
        suite.files += ["--locustfile", tmp_path / "brought.py", "--users", 5, "--duration", "3 s"]
        assert suite.command("run", "--dry-run") == 1, suite.shown
        assert re.search(r"^ok +oauth2 token +POST /token", suite.shown, re.MULTILINE)
        suite.command("run", "--out", tmp_path / "reports")
    path = only_run(tmp_path / "reports")
    read = load_run(path)
    cells = pd.concat([read.intervals, read.setup])
    ended = cells[cells["series"] == "response"].groupby(["endpoint", "outcome"], observed=True)["count"].sum()
    assert 1 <= ended["GET /account", "rejected"] == server.counted("/account")[401] <= 5
    assert ended["oauth2 token", "ok"] == 2
    assert {endpoint for endpoint, _ in ended.index} == {"GET /account", "oauth2 token"}
    assert "printed Bearer ${obtained token}" in (path / "generator.log").read_text()
    assert TOKEN not in suite.left


@pytest.mark.long
@pytest.mark.parametrize(
    ("plan", "way"),
    [(CLOSED, "POST /token"), (MEMBERS, "POST /login")],
    ids=["token", "login"],
)
def test_a_dry_run_shows_how_a_token_is_obtained_and_never_the_token(tmp_path, plan, way):
    """Not in the answer that has it, nor in those that repeat it, nor in an error of users' code."""
    with guarded() as server:
        suite = Suite(tmp_path, server, plan)
        assert suite.command("check", "--dry-run") == 0, suite.shown
        server.tells = "all that it is told"
        assert suite.command("check", "--dry-run") == (2 if "member" in plan["mix"] else 0), suite.shown
    assert f"{way} → 200" in suite.shown
    assert "${obtained token}" in suite.shown
    assert TOKEN not in suite.shown


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({}, "no access token: status 401 (invalid_client)"),
        pytest.param(
            {"token_url": "http://127.0.0.1:1/token"}, "no access token: Connection refused", marks=pytest.mark.long
        ),
        ({"token_url": "http://192.0.2.1/token"}, "this host is not on the allow list, got '192.0.2.1'"),
    ],
    ids=["wrong secret", "down", "not allowed"],
)
def test_without_a_token_nothing_starts(tmp_path, broken, told):
    """Exit code 2, one line, and no run directory."""
    with guarded() as server:
        suite = Suite(tmp_path, server, CLOSED, **broken)
        assert suite.command("run", "--out", tmp_path / "reports", secret="wr0ng-s3cret") == 2
    assert told in suite.shown
    assert "wr0ng" not in suite.shown
    assert server.counted("/health") == {}
    assert not (tmp_path / "reports").exists()


def test_check_reports_all_problems_at_once(tmp_path):
    """First those in the file, then those in the environment."""
    with guarded() as server:
        suite = Suite(tmp_path, server, CLOSED, client_secret="c4nary", scopes="a", parameters={"grant_type": "x"})
        assert suite.command("check") == 2
        assert "auth.oauth2.client_secret: a secret in a file" in suite.shown
        assert "auth.oauth2.scopes: unknown key" in suite.shown
        assert "c4nary" not in suite.shown
        again = Suite(tmp_path, server, CLOSED)
        assert again.command("check", secret="") == 2
    assert "target auth.oauth2.client_secret: the environment variable CLIENT_SECRET is not set" in again.shown
