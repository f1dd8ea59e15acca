"""A server that answers sendMessage like Telegram's Bot API, or as scripted, and keeps what it was sent.

Source: https://core.telegram.org/bots/api#making-requests.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple

TOKEN: Final = "123456:this-is-no-token-of-anybody-000000"  # noqa: S105 - not a real token
CHAT: Final = "-1001234567890"


class Answer(NamedTuple):
    status: int
    content: dict[str, Any] | bytes
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0


def too_many(retry_after_s: int) -> Answer:
    """The answer to a client that sends too much."""
    content = {
        "ok": False,
        "error_code": 429,
        "description": f"Too Many Requests: retry after {retry_after_s}",
        "parameters": {"retry_after": retry_after_s},
    }
    return Answer(429, content)


class FakeTelegram:
    """`next_answers` are given once each, in order; after that, every request succeeds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.next_answers: deque[Answer] = deque()
        self.paths: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        """The texts of accepted messages."""
        self.asked = 0

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies]

    def wait_for(self, is_so: Callable[[FakeTelegram], bool], *, within_s: float = 10.0) -> bool:
        """Whether it became true within this time."""
        until_s = time.monotonic() + within_s
        while not is_so(self):
            if time.monotonic() > until_s:
                return False
            time.sleep(0.02)
        return True

    def answer(self, path: str, body: dict[str, Any]) -> Answer:
        self.asked += 1
        self.paths.append(path)
        if self.next_answers:
            return self.next_answers.popleft()
        self.bodies.append(body)
        return Answer(200, {"ok": True, "result": {"message_id": len(self.bodies)}})


@contextmanager
def fake_telegram() -> Iterator[FakeTelegram]:
    """Serve on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = telegram.answer(self.path, body)
            time.sleep(answer.delay_s)
            content = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                """Ignore clients that have disconnected."""

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    telegram = FakeTelegram(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield telegram
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
