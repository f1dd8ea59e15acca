"""Deny before allow before bots before limits: each combination on a real server, as in the README's table."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest
import requests

from drills.target import Target, running_target
from payments_api.app import make_app
from payments_api.ledger import create_database
from payments_api.settings import read_settings
from tests.addresses import session_from
from tests.commands import ROOT

pytestmark = pytest.mark.process

BOT = "sqlmap/1.8"
PERSON = "Mozilla/5.0"


def decision(*, denied: bool, allowed: bool, bot: bool, exceeds: bool) -> str:
    """The documented decision."""
    if denied:
        return "403 address-denied"
    if allowed:
        return "200"
    if bot:
        return "403 bot-denied"
    return "429 too-many-requests" if exceeds else "200"


COMBINATIONS = [
    dict(zip(("denied", "allowed", "bot", "exceeds"), values, strict=True))
    for values in itertools.product([False, True], repeat=4)
]


@pytest.fixture(scope="module")
def protected(tmp_path_factory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("lists")
    (directory / "deny.txt").write_text("127.6.16.0/20\n")
    (directory / "allow.txt").write_text("127.6.8.0/21\n127.6.24.0/21\n")
    with running_target(
        DENY_FILE=str(directory / "deny.txt"), ALLOW_FILE=str(directory / "allow.txt"), BOTS="on", LIMIT_BALANCE="2/min"
    ) as target:
        yield target


def answer_of(target: Target, path: str, number: int, **is_so: bool) -> requests.Response:
    """The answer to the third request, or the first, from a fresh address in the wanted networks."""
    third_byte = 16 * is_so["denied"] + 8 * is_so["allowed"]
    with session_from(f"127.6.{third_byte}.{number + 1}") as session:
        for _ in range(3 if is_so["exceeds"] else 1):
            agent = BOT if is_so["bot"] else PERSON
            answer = session.get(target.url + path, headers={"User-Agent": agent}, timeout=5)
    return answer


@pytest.mark.parametrize(
    "is_so", COMBINATIONS, ids=lambda is_so: "-".join(name for name in is_so if is_so[name]) or "-"
)
def test_which_check_refuses_first(protected, is_so):
    """403 for addresses and bots, 429 beyond limits, as a problem that says which."""
    answer = answer_of(protected, "/balance/acct-000001", COMBINATIONS.index(is_so), **is_so)
    found = str(answer.status_code)
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        found += " " + answer.json()["type"].removeprefix("urn:problem:")
    assert found == decision(**is_so)


def test_the_readme_has_this_table():
    """Line by line."""
    text = (ROOT / "payments_api/README.md").read_text()
    for is_so in COMBINATIONS:
        cells = ["yes" if is_so[name] else "no" for name in ("denied", "allowed", "bot", "exceeds")]
        assert f"| {' | '.join(cells)} | {decision(**is_so)} |" in text


def test_monitoring_is_only_refused_by_the_deny_list(protected):
    """Prometheus is neither throttled nor taken for a bot."""
    for path in ("/metrics", "/health/ready"):
        free = {"denied": False, "allowed": False, "bot": True, "exceeds": True}
        assert answer_of(protected, path, 100, **free).status_code == 200
        assert answer_of(protected, path, 100, **free | {"denied": True}).status_code == 403


def test_refusals_are_counted_by_the_check_that_refused(protected):
    """For alerts and dashboards."""
    before = {"denied": False, "allowed": False, "bot": False, "exceeds": True}
    answer_of(protected, "/balance/acct-000001", 200, **before)
    answer_of(protected, "/balance/acct-000001", 201, **before | {"bot": True})
    answer_of(protected, "/balance/acct-000001", 202, **before | {"denied": True})
    page = requests.get(f"{protected.url}/metrics", timeout=5).text
    for by in ("limit", "bots", "deny-list"):
        assert f'protection_refusals_total{{by="{by}"}}' in page
        assert f'protection_refusals_total{{by="{by}"}} 0.0' not in page
    assert 'protection_list_entries{list="allow"} 2.0' in page


def test_a_refused_request_does_not_reach_the_framework(tmp_path):
    """An app's own middleware runs inside of it, and would cost time for each request of a flood."""
    passed = []

    class Noting:
        def __init__(self, app):
            self._app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] == "http":
                passed.append(scope["path"])
            await self._app(scope, receive, send)

    create_database(str(tmp_path / "ledger.sqlite3"), 2)
    app = make_app(read_settings({"LIMIT_HEALTH": "1/min"}), str(tmp_path / "ledger.sqlite3"))
    app.add_middleware(Noting)

    async def asked(path):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [],
            "query_string": b"",
            "client": ("::1", 1),
        }
        await app(scope, None, send)
        return sent[0]["status"], sent[1]["body"].decode()

    async def ask():
        async with app.router.lifespan_context(app):
            statuses = [(await asked("/health"))[0] for _ in range(3)]
            return statuses, (await asked("/metrics"))[1]

    statuses, page = asyncio.run(ask())
    assert statuses == [200, 429, 429]
    assert passed == ["/health", "/metrics"]
    # It is counted all the same.
    assert 'http_requests_total{method="GET",route="none",status="429"} 2.0' in page
