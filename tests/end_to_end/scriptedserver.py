"""A server for plain locustfiles: it answers as each path says, and counts its requests."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class ScriptedServer(ThreadingHTTPServer):
    """`/status/503` answers with 503, `/never` only at the end; requests for `/stand` can stall the server once."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served: Counter[str] = Counter()
        self.stands_after = 0, 0.0
        """After how many requests for `/stand` the server stalls, and for how many seconds."""
        self._stands_until_s: float | None = None
        self.is_over = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def stand(self) -> None:
        """Begin the stall if it is due, and wait for its end."""
        after, for_s = self.stands_after
        with self._lock:
            if self._stands_until_s is None and self.served["GET /stand"] > after:
                self._stands_until_s = time.monotonic() + for_s
        time.sleep(max(0.0, (self._stands_until_s or 0.0) - time.monotonic()))

    def count(self, what: str) -> None:
        with self._lock:
            self.served[what] += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def _serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.count(f"{self.command} {self.path}")
        _, what, *rest = urlsplit(self.path).path.split("/")
        status = 200
        if what == "never":
            self.server.is_over.wait(60)
        elif what == "stand":
            self.server.stand()
        elif what == "status":
            status = int(rest[0])
        body = b'{"token": "t-1"}'
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        with suppress(OSError):
            self.end_headers()
            self.wfile.write(body)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def scripted() -> Iterator[ScriptedServer]:
    """A server in threads of this process until the end."""
    with ScriptedServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.is_over.set()
            server.shutdown()
            thread.join()
