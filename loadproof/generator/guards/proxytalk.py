"""Detects from what a client sends whether it asks a proxy to connect it, and to which host; pure.

Sources: RFC 9110, section 9.3.6 (CONNECT); RFC 9112, section 3.2.2 (the absolute form); RFC 1928 (SOCKS 5);
https://www.openssh.com/txt/socks4.protocol and socks4a.protocol.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final
from urllib.parse import urlsplit

Place = tuple[str, int]
"""Host and port; the host is an address or a name."""
_HTTP: Final = re.compile(
    rb"(?:CONNECT ([^ /\r\n]{1,300})|[A-Z]{3,10} (https?://[^ /?#\r\n]{1,300})[^ \r\n]*) HTTP/1\.[01]\r\n"
)
_LONGEST: Final = 4096
_LONGEST_START: Final = 10 + len(b" https://")
"""Of the absolute form: a method of up to ten letters, and the scheme."""
_SOCKS: Final = frozenset({b"\x04", b"\x05"})
_SOCKS_5, _CONNECT = 5, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_PORTS: Final = {"http": 80, "https": 443}


def asked_for(sent: Any) -> Place | None:
    """Where a proxy is asked to connect to, by the first bytes sent to it; None if they don't address a proxy.

    TypeError if `sent` is not a buffer, as from a socket.
    """
    begun = bytes(memoryview(sent)[:_LONGEST])
    if begun[:1] in _SOCKS:
        return _of_socks(begun)
    # Nearly all requests are ruled out here, without scanning them.
    is_usual = begun.find(b"://", 0, _LONGEST_START) < 0 and not begun.startswith(b"CONNECT ")
    asked = None if is_usual else _HTTP.match(begun)
    return _place(asked[2] or b"//" + asked[1]) if asked else None


def _place(url: bytes) -> Place | None:
    try:
        parts = urlsplit(url.decode("latin-1"))
        return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None


def _of_socks(sent: bytes) -> Place | None:
    """Only for a request of exactly the length it declares: other protocols begin with these bytes, too."""
    version, command = sent[0], sent[1] if len(sent) > 1 else 0
    if command != _CONNECT or len(sent) < 9:
        return None
    return _of_socks_5(sent) if version == _SOCKS_5 else _of_socks_4(sent)


def _of_socks_5(sent: bytes) -> Place | None:
    kind, rest = sent[3], sent[4:]
    length = {_IPV4: 4, _IPV6: 16, _NAME: 1 + rest[0]}.get(kind, -1)
    if sent[2] or len(rest) != length + 2:
        return None
    host, port = rest[:length], int.from_bytes(rest[length:])
    return host[1:].decode("latin-1") if kind == _NAME else str(ipaddress.ip_address(host)), port


def _of_socks_4(sent: bytes) -> Place | None:
    """SOCKS 4: a user name follows the address; if the address is 0.0.0.x, also the host's name."""
    port, address, (_, *rest) = int.from_bytes(sent[2:4]), sent[4:8], sent[8:].split(b"\0")
    has_name = address[:3] == b"\0\0\0" and address[3:] != b"\0"
    if len(rest) != 1 + has_name or rest[-1]:
        return None
    return rest[0].decode("latin-1") if has_name else str(ipaddress.ip_address(address)), port
