"""Scripts for servers, composed from small parts: when, to whom and how to answer wrongly."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from bench.adversary.bank import JSON, Answer, Headers, Honest
from bench.adversary.wire import Request, Script, Wire

When = Callable[[Request], bool]
Make = Callable[[], Script]
Twist = Callable[[Request, Answer], Answer]


def only(when: When, then: Callable[[Honest], Script]) -> Make:
    """Answers with `then` if `when` holds, otherwise honestly; the probe always gets an honest answer."""

    def make() -> Script:
        honest = Honest()
        otherwise = then(honest)

        async def script(request: Request, wire: Wire) -> None:
            chosen = otherwise if request.at_s >= 0 and when(request) else honest
            await chosen(request, wire)

        return script

    return make


def always(_: Request) -> bool:
    return True


def paths(*starts: str) -> When:
    return lambda request: request.path.startswith(starts)


def between(from_s: float, to_s: float) -> When:
    """During these seconds of the load, by the server's clock."""
    return lambda request: from_s <= request.at_s < to_s


def share(ratio: float) -> When:
    """This share of the requests, without a pattern but the same in each run."""
    return lambda request: zlib.crc32(str(request.number).encode()) % 1000 < ratio * 1000


def clients(modulus: int, below: int) -> When:
    """`below` of every `modulus` clients, identified by their addresses."""
    return lambda request: int(request.peer.rpartition(".")[2]) % modulus < below


def reused(request: Request) -> bool:
    """Whether the connection had a request before."""
    return request.of_connection > 0


def both(*all_of: When) -> When:
    return lambda request: all(one(request) for one in all_of)


def says(body: bytes | str, status: int = 200, headers: Headers = JSON) -> Callable[[Honest], Script]:
    """This answer to every request."""
    content = body.encode() if isinstance(body, str) else body
    return lambda _: _sends(lambda _: Answer(None, status, headers, content).whole())


def raw(data: bytes, *, close: bool = True) -> Callable[[Honest], Script]:
    """These bytes; then, with `close`, the connection ends."""
    return lambda _: _sends(lambda _: data, close=close)


def twisted(twist: Twist) -> Callable[[Honest], Script]:
    """The right answer, changed."""
    return lambda honest: _sends(lambda request: twist(request, honest.bank.answer(request)).whole())


def fields(**changes: Any) -> Callable[[Honest], Script]:
    """The right answer, with these fields replaced if it has them."""

    def twist(_: Request, answer: Answer) -> Answer:
        return answer.changed(**{name: value for name, value in changes.items() if name in answer.content})

    return twisted(twist)


def framed(frame: Callable[[Answer], bytes], *, close: bool = False) -> Callable[[Honest], Script]:
    """The right answer, framed differently."""
    return lambda honest: _sends(lambda request: frame(honest.bank.answer(request)), close=close)


def _sends(data_of: Callable[[Request], bytes], *, close: bool = False) -> Script:
    async def script(request: Request, wire: Wire) -> None:
        await wire.send(data_of(request))
        if close:
            wire.close()

    return script


def delayed(delay_s: float) -> Callable[[Honest], Script]:
    """The right answer, later."""

    def make(honest: Honest) -> Script:
        async def script(request: Request, wire: Wire) -> None:
            await asyncio.sleep(delay_s)
            await honest(request, wire)

        return script

    return make


def standing(until_s: float) -> Callable[[Honest], Script]:
    """The right answer, but not before this second of the load."""

    def make(honest: Honest) -> Script:
        async def script(request: Request, wire: Wire) -> None:
            await asyncio.sleep(max(0.0, until_s - request.at_s))
            await honest(request, wire)

        return script

    return make


def worked_then(end: Callable[[Wire], None], after_s: float = 0.0) -> Callable[[Honest], Script]:
    """The request is processed, and then the connection ends without an answer."""

    def make(honest: Honest) -> Script:
        async def script(request: Request, wire: Wire) -> None:
            honest.bank.answer(request)
            await asyncio.sleep(after_s)
            end(wire)

        return script

    return make


def silent(_: Honest) -> Script:
    """Never answers."""

    async def script(_: Request, __: Wire) -> None:
        await asyncio.sleep(3600)

    return script


def in_pieces(cut: Callable[[bytes], list[bytes]], pause_s: float) -> Callable[[Honest], Script]:
    """The right bytes, with pauses between pieces."""

    def make(honest: Honest) -> Script:
        async def script(request: Request, wire: Wire) -> None:
            for piece in cut(honest.bank.answer(request).whole()):
                await wire.send(piece)
                await asyncio.sleep(pause_s)

        return script

    return make


def throttles(often: When, headers: Headers, status: int = 429) -> Make:
    """Refuses quickly, with these headers, when `often` holds."""
    return only(often, says('{"title": "too many"}', status, (*JSON, *headers)))


def calls(script: Callable[[Request, Wire, Honest], Awaitable[None]]) -> Callable[[Honest], Script]:
    """A script that needs the bank."""
    return lambda honest: lambda request, wire: script(request, wire, honest)
