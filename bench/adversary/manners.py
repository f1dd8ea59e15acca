"""Correct servers with peculiarities that aren't faults: scripts with state."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.adversary.bank import JSON, Answer, Honest

if TYPE_CHECKING:
    from bench.adversary.wire import Request, Script, Wire


def three_a_connection() -> Script:
    """Closes each connection after three answers, and announces it."""
    teller = Honest()

    async def script(request: Request, wire: Wire) -> None:
        left = 2 - request.of_connection
        more = ("Keep-Alive", f"timeout=5, max={left}") if left > 0 else ("Connection", "close")
        await wire.send(teller.bank.answer(request).whole(more))
        if left <= 0:
            wire.close()

    return script


def moved() -> Script:
    """All paths have moved elsewhere on the same host."""
    teller = Honest()

    async def script(request: Request, wire: Wire) -> None:
        if request.path.startswith("/new"):
            await teller(replace(request, path=request.path.removeprefix("/new")), wire)
        else:
            await wire.send(Answer(None, 308, (("Location", f"/new{request.path}"),), b"").whole())

    return script


def fussy() -> Script:
    """400 if a header occurs twice, or Host is not the one that the target file names."""
    teller = Honest()

    async def script(request: Request, wire: Wire) -> None:
        names = [name for name, _ in request.headers]
        wrong = names.count("host") != 1 or names.count("content-type") > 1
        wrong |= request.header("host") != "pay.example.test"
        answer = Answer({"title": "which one?"}, 400) if wrong else teller.bank.answer(request)
        await wire.send(answer.whole())

    return script


def limited(most: int, window_s: float) -> Script:
    """Admits this many requests per address and path in a moving window; refuses honestly."""
    teller, admitted = Honest(), dict[tuple[str, str], list[float]]()

    async def script(request: Request, wire: Wire) -> None:
        recent = admitted.setdefault((request.peer, request.path.split("/")[1]), [])
        recent[:] = [at_s for at_s in recent if request.at_s - at_s < window_s]
        if request.at_s >= 0 and len(recent) >= most:
            wait_s = max(1, -int(-(window_s - (request.at_s - recent[0])) // 1))
            answer = Answer({"title": "too many"}, 429, (*JSON, ("Retry-After", str(wait_s))))
        else:
            recent.append(request.at_s)
            answer = teller.bank.answer(request)
        await wire.send(answer.whole())

    return script


def asks_for_login() -> Script:
    """401 for items unless somebody has logged in from this address."""
    known: set[str] = set()
    teller = Honest()

    async def script(request: Request, wire: Wire) -> None:
        if request.path == "/login":
            known.add(request.peer)
        refused = request.path == "/items" and request.peer not in known
        answer = Answer({"title": "who are you?"}, 401) if refused else teller.bank.answer(request)
        await wire.send(answer.whole())

    return script


def exact_bodies() -> Script:
    """Accepts `/search` only with exactly the bodies that the users intend to send."""
    wanted: tuple[object, ...] = ({"filter.status": "open", "a": None}, {}, [1, {"b.c": 2}])
    teller = Honest()

    async def script(request: Request, wire: Wire) -> None:
        if request.path != "/search":
            await teller(request, wire)
            return
        right = request.body != b"" and json.loads(request.body) in wanted
        await wire.send(Answer({"status": "ok"}, 200 if right else 422).whole())

    return script


def below_a_path() -> Script:
    """The API under /api/v2, as behind a gateway."""
    teller = Honest()

    async def script(request: Request, wire: Wire) -> None:
        inside = request.path.startswith("/api/v2/")
        path = request.path.removeprefix("/api/v2") if inside else "/nowhere"
        answer = teller.bank.answer(replace(request, path=path))
        if answer.status == 201:
            answer = replace(answer, headers=(*JSON, ("Location", f"/api/v2/transactions/{answer.content['id']}")))
        await wire.send(answer.whole())

    return script
