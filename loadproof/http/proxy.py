"""An explicit HTTP proxy: the way to a target through another host, by absolute-form requests or by a tunnel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from loadproof.http.answers import AnswerParser
from loadproof.http.head import MalformedAnswerError
from loadproof.http.headers import encoded_head

if TYPE_CHECKING:
    import socket

_BLOCK_BYTES: Final = 65_536


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy between the generator and the target."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    """The value of Proxy-Authorization, with its secret."""

    @property
    def headers(self) -> dict[str, str]:
        """Meant for the proxy, which removes them."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}

    def failure(self, error: OSError) -> OSError:
        """The same failure, reported as the proxy's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return OSError(error.errno, f"the proxy {host}:{self.port}: {error.strerror or error}")

    def open_tunnel(self, connection: socket.socket, host: str, port: int) -> None:
        """Turn a connection to the proxy into one to that host; OSError if the proxy doesn't open it.

        Source: RFC 9110, section 9.3.6: the answer to CONNECT has no body if it is a success.
        """
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        connection.sendall(encoded_head(f"CONNECT {authority} HTTP/1.1", {"Host": authority, **self.headers}))
        parser, answer = AnswerParser(), None
        parser.begin(is_head=True, accepted=None)
        try:
            while answer is None:
                received = connection.recv(_BLOCK_BYTES)
                answer = parser.feed(received) if received else parser.end()
        except MalformedAnswerError as error:
            raise OSError(f"its answer to CONNECT: {error}") from None
        if not 200 <= answer.status < 300:
            raise OSError(f"answers CONNECT with {answer.status}")
        if parser.has_surplus:
            raise OSError("sends something of its own through the tunnel")
