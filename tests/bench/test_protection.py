"""The benchmark of the protections measures what its table says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.protection import ask, configured
from drills.redisserver import RedisServer
from payments_api.app import make_app
from payments_api.ledger import create_database
from payments_api.settings import Settings, read_settings

KINDS = {
    "limits": lambda options: options.limiter != "off",
    "penalties": lambda options: options.penalty is not None,
    "bot check": lambda options: options.bots != "off",
    "list": lambda options: options.deny_file,
}


def answer_of(settings: Settings, database: str) -> tuple[int, bytes]:
    """Status and body of the answer to a client's third request."""
    sent: list[Any] = []

    async def asked() -> None:
        app = make_app(settings, database)

        async def noting(scope: Any, receive: Any, _: Any) -> None:
            async def note(message: Any) -> None:
                sent.append(message)

            await app(scope, receive, note)

        async with app.router.lifespan_context(app):
            for _ in range(3):
                sent.clear()
                await ask(noting, 0)

    asyncio.run(asked())
    return sent[0]["status"], sent[-1]["body"]


@pytest.mark.long
@pytest.mark.process
def test_each_protection_is_measured_alone_in_its_own_row(tmp_path):
    """Requests that are refused are refused by the protection that the row names."""
    database = str(tmp_path / "ledger.sqlite3")
    create_database(database, 10)
    refusals = {
        "limit": b":too-many-requests",
        "penalty": b":penalty",
        "bot check": b":bot-denied",
        "list": b":address",
    }
    with RedisServer() as server:
        rows = {title: read_settings(settings) for title, settings in configured(tmp_path, server.url).items()}
        for title, settings in rows.items():
            status, body = answer_of(settings, database)
            if title.startswith("refused"):
                assert next(kind for name, kind in refusals.items() if name in title) in body
            else:
                assert status == 200
                on = {name for name, is_on in KINDS.items() if is_on(settings.protection)}
                assert on == (set(KINDS) if "all" in title.split() else {name for name in KINDS if name in title})
    assert {frozenset(name for name in KINDS if name in title) for title in rows} >= {
        frozenset({"limits"}),
        frozenset({"limits", "penalties"}),
        frozenset({"bot check"}),
        frozenset({"list"}),
    }
