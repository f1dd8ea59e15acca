"""Targets that break connections, messages or the rules of HTTP."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.adversary import framings
from bench.adversary.bank import JSON, Answer, Honest
from bench.adversary.case import FAIL, INVALID, PASS, Played
from bench.adversary.play import running
from bench.adversary.scenarios import closed, of
from bench.adversary.scripts import (
    always,
    framed,
    in_pieces,
    only,
    raw,
    says,
    share,
    twisted,
)

if TYPE_CHECKING:
    from bench.adversary.wire import Request, Script, Wire

OK = b'{"status": "ok"}'
READING = of("balance", "health")


def _heard_all(played: Played) -> Iterator[str]:
    """A complete answer is not a broken connection."""
    if broken := played.outcomes().get("connection"):
        yield f"{broken} requests told as broken connections"


def _in_advance() -> Script:
    """Sends each connection's second answer with the first, and never answers again."""
    honest = Honest()

    async def script(request: Request, wire: Wire) -> None:
        if request.at_s < 0:
            await honest(request, wire)
        elif request.of_connection == 0:
            answer = honest.bank.answer(request).whole()
            await wire.send(answer + answer)
        else:
            await asyncio.sleep(3600)

    return script


def _not_believed(played: Played) -> Iterator[str]:
    """An answer that arrived before its request doesn't count."""
    asked = sum(request.of_connection > 0 for request in played.load)
    if played.outcomes().get("ok", 0) > len(played.load) - asked:
        yield f"{asked} requests were answered in advance, and counted as ok"


def _forever(head: bytes, piece: bytes) -> Any:
    """Sends `head`, then `piece` again and again for as long as the client listens."""

    def make(_: Honest) -> Script:
        async def script(_: Request, wire: Wire) -> None:
            await wire.send(head)
            while True:
                await wire.send(piece)
                await asyncio.sleep(0.01)

        return script

    return make


def _round_and_round(_: Request, __: Answer) -> Answer:
    return Answer(None, 302, (("Location", "/health"),), b"")


def _points_to(location: str) -> Any:
    return says(b"", 302, (("Location", location),))


def _bytes(of_data: bytes) -> list[bytes]:
    return [of_data[number : number + 1] for number in range(len(of_data))]


FOLLOWS = "base_url: URL\nendpoints:\n  health: {follow_redirects: true}\n  balance: {follow_redirects: true}\n"
GZIP = (*JSON, ("Content-Encoding", "gzip"))
TWO_LENGTHS = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\nContent-Length: 2\r\n\r\n" + OK
BOTH_KINDS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n" + OK + b"\r\n0\r\n\r\n"
)
UNENDED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n" + OK + b"\r\n"


def gzip_bomb(honest: Honest) -> Script:
    """Compressed only when the case is played, because that takes a second."""
    return says(gzip.compress(b"\0" * 200_000_000), 200, GZIP)(honest)


CASES = (
    running(
        "truncated answer",
        "half a body",
        "announces 100 bytes and sends 16",
        script=only(always, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + OK)),
        scenario=READING,
    ),
    running(
        "truncated answer",
        "no last chunk",
        "the connection ends before the last chunk",
        script=only(always, raw(UNENDED)),
        scenario=of("health"),
    ),
    running(
        "truncated answer",
        "half a head",
        "the connection ends in the middle of a header",
        script=only(always, raw(b"HTTP/1.1 200 OK\r\nContent-Le")),
        scenario=READING,
    ),
    running(
        "not HTTP",
        "garbage",
        "no status line",
        script=only(always, raw(b"\x16\x03\x01 who is there?\r\n\r\n")),
        scenario=READING,
    ),
    running("not HTTP", "HTTP/0.9", "a body without a head", script=only(always, raw(OK)), scenario=of("health")),
    running(
        "two lengths",
        "lengths that differ",
        "Content-Length 16 and 2",
        script=only(always, raw(TWO_LENGTHS)),
        scenario=of("health"),
    ),
    running(
        "two lengths",
        "the same length twice",
        "a client may accept or refuse it, but it is not a broken connection",
        script=only(always, framed(framings.length_twice)),
        right=(PASS, FAIL),
        also=(_heard_all,),
    ),
    running(
        "two lengths",
        "length and chunks",
        "as in request smuggling",
        script=only(always, raw(BOTH_KINDS)),
        scenario=of("health"),
        right=(PASS, FAIL),
    ),
    running(
        "answers in advance",
        "answers before the request",
        "sends the second answer with the first; later requests get none",
        script=_in_advance,
        scenario=of("balance"),
        right=(PASS, FAIL),
        also=(_not_believed,),
    ),
    running(
        "never ends",
        "one byte at a time",
        "30 ms per byte: a complete answer takes more than three seconds",
        script=only(always, in_pieces(_bytes, 0.03)),
        scenario=closed(timeouts={"total": "1500 ms"}),
    ),
    running(
        "never ends",
        "endless head",
        "headers without end",
        script=only(always, _forever(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n")),
        scenario=READING,
    ),
    running(
        "never ends",
        "endless body",
        "chunks without end",
        script=only(always, _forever(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")),
        scenario=READING,
    ),
    running(
        "never ends",
        "endless 1xx",
        "informational answers without end",
        script=only(always, _forever(b"", b"HTTP/1.1 102 Processing\r\n\r\n")),
        scenario=READING,
    ),
    running(
        "redirects",
        "redirects in a circle",
        "every answer redirects to the next",
        script=only(always, twisted(_round_and_round)),
        target=FOLLOWS,
        scenario=READING,
    ),
    running(
        "redirects",
        "redirects nowhere",
        "Location: http://[",
        script=only(always, _points_to("http://[")),
        target=FOLLOWS,
        scenario=READING,
    ),
    running(
        "redirects",
        "redirects to another host",
        "the load would hit another server",
        script=only(always, _points_to("http://127.0.0.2:9/health")),
        target=FOLLOWS,
        scenario=READING,
    ),
    running(
        "redirects",
        "a redirect that is not permitted",
        "302 where 200 is expected",
        script=only(always, _points_to("/health")),
        scenario=READING,
    ),
    running(
        "broken compression",
        "gzip that isn't gzip",
        "announces gzip and sends text",
        script=only(always, says(OK, 200, GZIP)),
        scenario=of("health"),
        right=(FAIL, INVALID),
    ),
    running(
        "broken compression",
        "truncated gzip",
        "half of the data",
        script=only(always, says(gzip.compress(OK)[:12], 200, GZIP)),
        scenario=of("health"),
        right=(FAIL, INVALID),
    ),
    running(
        "broken compression",
        "gzip bomb",
        "200 KB that become 200 MB",
        script=only(share(0.3), gzip_bomb),
        scenario=of("health", every="1 s"),
        right=(FAIL, INVALID),
    ),
    # RFC 9110, 12.5.3: without Accept-Encoding any coding is acceptable.
    running(
        "loadproof's own limits",
        "gzip that was not requested",
        "what loadproof can't read is its own limit, not the target's failure",
        script=only(always, framed(framings.gzipped)),
        right=(PASS, INVALID),
    ),
    running(
        "loadproof's own limits",
        "an unknown encoding",
        "the same for an unknown content coding",
        script=only(always, framed(lambda a: framings.encoded("x-own", a.payload(), a))),
        scenario=of("health"),
        right=(PASS, INVALID),
    ),
    running(
        "loadproof's own limits",
        "12 MB answers",
        "correct, but too long for loadproof to read",
        script=only(always, twisted(framings.padded(12_000_000))),
        scenario=closed(
            mix={"health": {"share": "100 %", "every": "2 s"}},
            phases=[{"name": "steady", "duration": "8 s", "users": 4}],
            thresholds=[{"expect": "error_ratio < 80 %"}, {"expect": "goodput_ratio >= 20 %"}],
        ),
        right=(PASS, INVALID),
    ),
)
