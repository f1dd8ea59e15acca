"""Secrets that come back: in a target's answers, in any encoding, and in messages of users' own code."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bench.adversary import deeds, users
from bench.adversary.bank import Answer, Honest
from bench.adversary.case import FAIL, INVALID, Case
from bench.adversary.play import running
from bench.adversary.scenarios import closed
from bench.adversary.scripts import always, calls, only, says

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.adversary.wire import Request, Wire

_TOKEN = "7d1e'44&b0c9/canary=~é"  # noqa: S105 - nobody's
_PASSWORD = "canary-7d1e44b0c9"  # noqa: S105 - nobody's
_BEARER = "base_url: URL\nheaders: {Authorization: 'Bearer ${TOKEN}'}\n"
_BASIC = "base_url: URL\nheaders: {Authorization: 'Basic ${TOKEN}'}\n"
_ENCODINGS: tuple[Callable[[str], str], ...] = (
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(b"x" + text.encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: quote(text, safe=""),
    lambda text: json.dumps(text).replace("/", "\\/"),
    lambda text: "".join(f"\\u{ord(letter):04X}" for letter in text),
    str.upper,
    html.escape,
)
_FRAGMENTS = (
    "b0c9",
    "B0C9",
    "canary",
    "CANARY",
    "Y2FuYXJ5",
    "YW5hcn",
    "jYW5hc",
    "63616e617279",
    "\\u0061",
    "%26b0",
    "&amp;b0",
)
"""Parts of the token in each encoding."""


def _echoing(told: Callable[[Request], Any], status: int = 500, more: int = 0) -> Callable[[Honest], Any]:
    async def answer(request: Request, wire: Wire, _: Honest) -> None:
        content = told(request)
        body = content.encode() if isinstance(content, str) else None
        # loadproof keeps one example of each kind of error.
        await wire.send(Answer(content, status + request.number % (1 + more), body=body).whole())

    return calls(answer)


def _sent(request: Request) -> str:
    """The credential in the request."""
    return request.header("authorization").partition(" ")[2].encode("latin-1").decode(errors="replace")


def _page(request: Request) -> str:
    return f"<pre>authorization: Bearer {html.escape(_sent(request))}</pre>"


def _decoded(request: Request) -> str:
    return f"access denied for {base64.b64decode(_sent(request)).decode()}"


def _encoded(request: Request) -> str:
    return f"bad token: {_ENCODINGS[request.number % len(_ENCODINGS)](_sent(request))}"


def _secret(name: str, tries: str, *fragments: str, right: tuple[str, ...] = (FAIL,), **run: Any) -> Case:
    leaks = tuple(deeds.leaks(fragment) for fragment in fragments)
    return running("secrets", name, tries, right=right, never=leaks, **run)


_QUOTING = """self.send(
            self.api.call("GET", "/items"),
            lambda reply: expect(reply["status"] == "ok", f"unexpected answer {reply['status']!r}"),
        )"""
_TELLING = (
    "import os, subprocess, sys",
    'token = os.environ["TOKEN"]',
    "print('printed', token)",
    "subprocess.run(['echo', 'by a child', token])",
    'self.send(self.api.call("GET", "/items?key=" + token), lambda reply: expect(False, f"the token was {token}"))',
    'raise RuntimeError(f"boom {token}")',
)
CASES = (
    _secret(
        "a check that quotes an echoed token",
        "the message of each failed check has it",
        deeds.CANARY,
        script=only(always, _echoing(lambda request: {"status": f"bad token {_sent(request)}"}, 200)),
        scenario=closed(mix=users.SHOP_MIX),
        users={"shop": users.file(_QUOTING)},
        target=_BEARER,
        environment={"TOKEN": deeds.CANARY},
    ),
    _secret(
        "users' code that shows a token",
        "in a check's message, an exception, and what it and its child process print",
        deeds.CANARY,
        right=(FAIL, INVALID),
        script=only(always, says('{"status": "ok"}')),
        scenario=closed(mix=users.SHOP_MIX),
        users={"shop": users.file(*_TELLING)},
        target=_BEARER,
        environment={"TOKEN": deeds.CANARY},
    ),
    _secret(
        "an escaped echo",
        "an error page with HTML's escapes",
        "b0c9",
        "canary",
        script=only(always, _echoing(_page)),
        target=_BEARER,
        environment={"TOKEN": _TOKEN},
    ),
    _secret(
        "a decoded echo",
        "whom it refused, by the name and password of Basic authentication",
        _PASSWORD,
        script=only(always, _echoing(_decoded)),
        target=_BASIC,
        environment={"TOKEN": base64.b64encode(f"someone:{_PASSWORD}".encode()).decode()},
    ),
    _secret(
        "an encoded echo",
        "base64, hexadecimal, percent-encoding, JSON's escapes, upper case",
        *_FRAGMENTS,
        script=only(always, _echoing(_encoded, more=len(_ENCODINGS) - 1)),
        target=_BEARER,
        environment={"TOKEN": _TOKEN},
    ),
)
