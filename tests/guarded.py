"""A real server that requires a valid token, and issues tokens itself."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

CLIENT, SECRET = "loadproof", "c4nary-cl1ent/s3cret+"
TOKEN = "c4nary-t0ken"
"""Prefix of every token."""


class Guarded(ThreadingHTTPServer):
    """Counts requests by path and status; `revoke` invalidates all tokens so far."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *, lasts_s: float = 3600, token_answer: tuple[int, Any] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lasts_s = lasts_s
        self.token_answer = token_answer
        """Status and body to answer with instead of a token."""
        self.takes_s = 0.0
        """How long issuing a token takes."""
        self.accepts = True
        """False: no token is valid."""
        self.tells = ""
        """Additional content of each answer's body."""
        self.valid: dict[str, float] = {}
        """Tokens, and until when they are valid."""
        self.forms: list[dict[str, str]] = []
        """Bodies of the token requests."""
        self.served: Counter[tuple[str, int]] = Counter()
        self.asked_s: list[float] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def revoke(self) -> None:
        with self._lock:
            self.valid.clear()

    def counted(self, path: str) -> dict[int, int]:
        """The number of requests for this path, by status."""
        with self._lock:
            return {status: count for (asked, status), count in self.served.items() if asked == path}

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[int, Any]:
        if path == "/token":
            time.sleep(self.takes_s)
        with self._lock:
            status, content = self._answer(method, path, authorization, body)
            self.served[path, status] += 1
        return status, content

    def _answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[int, Any]:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        match method, path:
            case "POST", "/token":
                self.asked_s.append(time.monotonic())
                self.forms.append(form)
                return self._token(form, authorization)
            case "POST", "/login":
                return (200, {"token": self._new_token()}) if form.get("password") == "right" else (401, {})
            case _ if self.accepts and self.valid.get(authorization.removeprefix("Bearer "), 0) > time.monotonic():
                return 200, {"status": "ok", "seen": authorization} if self.tells else {"status": "ok"}
            case _:
                return 401, {"seen": authorization, "tells": self.tells}

    def _token(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        known = {(CLIENT, SECRET)}
        if authorization.startswith("Basic "):
            name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            client = unquote_plus(name), unquote_plus(secret)
        else:
            client = form.get("client_id", ""), form.get("client_secret", "")
        if client not in known or form.get("grant_type") != "client_credentials":
            return 401, {"error": "invalid_client"}
        if self.token_answer is not None:
            return self.token_answer
        return 200, {"access_token": self._new_token(), "token_type": "bearer", "expires_in": self.lasts_s}

    def _new_token(self) -> str:
        token = f"{TOKEN}-{next(self._numbers)}"
        self.valid[token] = time.monotonic() + self.lasts_s
        return token


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Guarded

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, authorization = urlsplit(self.path).path, self.headers.get("Authorization", "")
        status, content = self.server.answer(self.command, path, authorization, body)
        answer = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _serve  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def guarded(**how: Any) -> Iterator[Guarded]:
    with Guarded(**how) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        serving.start()
        yield server
        server.shutdown()
        serving.join()
