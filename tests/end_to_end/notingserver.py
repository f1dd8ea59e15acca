"""A server that notes its requests, to compare what two runs send."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

_EVENT_ID = re.compile(rb"evt_[0-9a-f]{32}")


class Noted(NamedTuple):
    """A request, without anything that depends on the time."""

    client: str
    path: str
    key: str | None
    body: bytes

    def new_id(self) -> str | None:
        """The id of the payment or event in it."""
        event = _EVENT_ID.search(self.body)
        return event[0].decode() if event else self.key

    def without_ids(self) -> Noted:
        return self._replace(key=None, body=_EVENT_ID.sub(b"", self.body))


@contextmanager
def noting_requests() -> Iterator[tuple[str, Counter[Noted]]]:
    """Serve; yields the base URL and the requests seen. All answers are wrong, those to webhooks not even HTTP.

    Requests for health and metrics are not noted.
    """
    seen: Counter[Noted] = Counter()
    lock = threading.Lock()

    class Noting(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path not in {"/health", "/metrics"}:
                self._note(b"")
            self._answer(200)

        def do_POST(self) -> None:
            self._note(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.startswith("/webhooks"):
                self.wfile.write(b"@@@@\r\n\r\n")
                self.close_connection = True
            else:
                self._answer(201)

        def _note(self, body: bytes) -> None:
            with lock:
                seen[Noted(self.client_address[0], self.path, self.headers.get("Idempotency-Key"), body)] += 1

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Ignore clients that hang up."""

    server = Server(("127.0.0.1", 0), Noting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
