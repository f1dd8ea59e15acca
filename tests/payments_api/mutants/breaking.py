"""Runs the API in this process, without a server, and checks whether it keeps a promise with and without a mutant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from payments_api.app import make_app
from payments_api.ledger import Ledger, create_database
from payments_api.mutants.catalogue import MUTANTS
from payments_api.settings import read_settings

Promise = Callable[[Path], Awaitable[bool]]
"""Gets an empty directory; returns whether the promise is kept."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]


class Api:
    def __init__(self, app) -> None:
        self._app = app
        self.ledger = app.state.ledger
        self.protection = app.state.protection

    async def ask(self, path: str, client: str = "127.0.0.1", *, method: str = "GET", **headers: str) -> Answer:
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        path, _, query = path.partition("?")
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        asked = {"method": method, "path": path, "query_string": query.encode(), "headers": named}
        await self._app({"type": "http", **asked, "client": (client, 1)}, receive, send)
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], told)

    async def statuses(self, *paths: str, **how: str) -> list[int]:
        return [(await self.ask(path, **how)).status for path in paths]


@asynccontextmanager
async def running_api(directory: Path, **settings: str) -> AsyncIterator[Api]:
    database = str(directory / "ledger.sqlite3")
    create_database(database, 4)
    app = make_app(read_settings(settings), database)
    async with app.router.lifespan_context(app):
        yield Api(app)


def opened(directory: Path) -> Ledger:
    path = str(directory / "ledger.sqlite3")
    create_database(path, 2)
    return Ledger(path)


def is_broken_by(name: str, promise: Promise, directory: Path, monkeypatch, *, number: int | None = None) -> bool:
    """Whether the promise is broken with the mutant, and kept without it."""
    (directory / "right").mkdir()
    is_kept = asyncio.run(promise(directory / "right"))
    return is_kept and not is_kept_by(name, promise, directory, monkeypatch, number=number)


def is_kept_by(name: str, promise: Promise, directory: Path, monkeypatch, *, number: int | None = None) -> bool:
    """Whether the promise is kept in spite of the mutant."""
    (directory / "mutated").mkdir()
    MUTANTS[name].apply(monkeypatch.setattr, number)
    return asyncio.run(promise(directory / "mutated"))
