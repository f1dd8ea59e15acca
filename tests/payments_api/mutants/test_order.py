"""The order of checks: lists, bots, limits, and only then the database."""

from __future__ import annotations

import pytest

from tests.payments_api.mutants.breaking import is_broken_by, is_kept_by, running_api

BOT = {"user_agent": "sqlmap/1.8"}
LISTED, DENIED = "127.9.0.1", "127.9.0.2"


def lists_in(directory) -> dict[str, str]:
    (directory / "allow.txt").write_text(f"{LISTED}\n")
    (directory / "deny.txt").write_text(f"{DENIED}\n")
    return {"ALLOW_FILE": str(directory / "allow.txt"), "DENY_FILE": str(directory / "deny.txt")}


async def lists_come_before_limits(directory) -> bool:
    async with running_api(directory, LIMIT_HEALTH="1/min", **lists_in(directory)) as api:
        allowed = await api.statuses(*["/health"] * 3, client=LISTED)
        return allowed == [200] * 3 and await api.statuses(*["/health"] * 3, client=DENIED) == [403] * 3


async def the_allow_list_comes_before_bots(directory) -> bool:
    async with running_api(directory, BOTS="on", **lists_in(directory)) as api:
        return (await api.ask("/health", LISTED, **BOT)).status == 200


async def a_refusal_costs_the_database_nothing(directory) -> bool:
    async with running_api(directory, LIMIT_HEALTH="1/min") as api:
        files = api.ledger.rows("SELECT name FROM sqlite_master")
        assert await api.statuses(*["/health"] * 3) == [200, 429, 429]
        return api.ledger.rows("SELECT name FROM sqlite_master") == files


PROMISES = {
    "lists-after-limits": lists_come_before_limits,
    "bots-before-allow": the_allow_list_comes_before_bots,
    "work-before-limit": a_refusal_costs_the_database_nothing,
}


@pytest.mark.parametrize("name", PROMISES)
def test_checks_run_in_the_right_order_but_for_the_mutant(name, tmp_path, monkeypatch):
    assert is_broken_by(name, PROMISES[name], tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PROMISES)
def test_a_mutant_changes_nothing_else(name, tmp_path, monkeypatch):
    """Limits, bots, and monitoring without either."""

    async def holds(directory) -> bool:
        async with running_api(directory, LIMIT_HEALTH="1/min", BOTS="on", **lists_in(directory)) as api:
            limited = await api.statuses(*["/health"] * 2) == [200, 429]
            bots = await api.statuses("/health", client="127.9.0.3", **BOT) == [403]
            return limited and bots and await api.statuses(*["/metrics"] * 3, **BOT) == [200] * 3

    assert is_kept_by(name, holds, tmp_path, monkeypatch)
