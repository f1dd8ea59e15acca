"""Turns a request into the bytes that are sent for it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from loadproof.http.headers import encoded_head, merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadproof.http.messages import Request
    from loadproof.http.origin import Origin

_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})


class Packet(NamedTuple):
    """A request as sent, and what its answer depends on."""

    request: Request | None
    """None if its bytes were put together elsewhere."""
    content: bytes
    is_head: bool
    may_be_repeated: bool
    accepted: str | None
    """The request's Accept-Encoding."""
    is_last: bool = False
    """It asks to close the connection after its answer. Source: RFC 9112, section 9.6."""


def make_packet(origin: Origin, headers: Mapping[str, str], request: Request) -> Packet:
    """The request to this origin; `headers` are its client's. UnsendableHeaderError if one of them can't be sent."""
    has_length = request.body or request.method in _BODY_METHODS
    length = {"Content-Length": str(len(request.body))} if has_length else {}
    sent = merged(origin.headers, headers, request.headers, length)
    base_path = origin.base_path if request.is_below_base else ""
    head = encoded_head(f"{request.method} {origin.absolute}{base_path}{request.path} HTTP/1.1", sent)
    return Packet(
        request,
        content=head + request.body,
        is_head=request.method == "HEAD",
        may_be_repeated=request.may_be_repeated,
        accepted=next((value for name, value in sent.items() if name.lower() == "accept-encoding"), None),
        is_last=any(name.lower() == "connection" and value.lower() == "close" for name, value in sent.items()),
    )
