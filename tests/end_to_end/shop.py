"""A shop with an API of its own: logins, products, a cart that needs a token, payments, orders."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Shop(ThreadingHTTPServer):
    """Fails each `breaks`-th payment; counts what it served, by name."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *, breaks: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.breaks = breaks
        self.served: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.orders: dict[int, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Any]:
        with self._lock:
            return self._answer(method, path, token, body)

    def _answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Any]:
        what, status, content = "unknown", 404, {}
        _, first, *rest = path.split("/")
        match method, first, rest:
            case "POST", "login", []:
                self.tokens.add(name := parse_qs(body.decode())["user"][0])
                what, status, content = "login", 200, {"token": name}
            case "GET", "products", []:
                what, status, content = "products", 200, {"items": list(range(10))}
            case _ if token not in self.tokens:
                what, status = "stranger", 401
            case "POST", "cart", []:
                what, status, content = "cart", 201, {"cart": next(self._numbers)}
            case "POST", "cart", [_, "pay"] if self.breaks and self.served["pay"] % self.breaks == self.breaks - 1:
                what, status = "pay", 500
            case "POST", "cart", [cart, "pay"]:
                self.orders[order := next(self._numbers)] = int(cart)
                what, status, content = "pay", 201, {"paid": True, "order": order}
            case "GET", "orders", [order_text]:
                what, status, content = "confirm", 200, {"cart": self.orders[int(order_text)]}
        self.served[what] += 1
        return status, content


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Shop

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, content = self.server.answer(self.command, urlsplit(self.path).path, token, body)
        answer = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _serve  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_shop(*, breaks: int = 0) -> Iterator[Shop]:
    with Shop(breaks=breaks) as shop:
        serving = threading.Thread(target=shop.serve_forever, daemon=True)
        serving.start()
        yield shop
        shop.shutdown()
        serving.join()
