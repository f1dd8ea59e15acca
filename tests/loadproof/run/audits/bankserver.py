"""A bank over HTTP with its own vocabulary and limits per address, which keeps its promises or breaks one."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from loadproof.scenario.target.targetfile import TargetFile

ACCOUNTS = [f"a{number}" for number in range(6)]
OWN_KEYS = "no fault: each address has keys of its own"


class BankServer:
    """`fault` names the promise to break; `allows` is how many payments an address may make before it has to wait."""

    def __init__(self, fault: str = "", allows: int = 1_000_000) -> None:
        self.fault = fault
        self.allows = allows
        self.balances = dict.fromkeys(ACCOUNTS, 500_00)
        self.rows: list[dict[str, Any]] = []
        self.keys: dict[str, dict[str, Any]] = {}
        self.events: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.lock = threading.RLock()

    def pay(self, key: str, order: dict[str, Any], address: str) -> tuple[int, dict[str, Any]]:
        self.counts[address] += 1
        if self.fault == OWN_KEYS:
            key = f"{key} of {address}"
        if self.counts[address] > self.allows:
            return 429, {}
        if self.fault == "checks, then inserts":
            known = key in self.keys
            time.sleep(0.002)
            if not known:
                return self._book(key, order)
        with self.lock:
            if key not in self.keys:
                return self._book(key, order)
            before = self.keys[key]
            compared = ["value"] if self.fault == "compares amounts" else order
            is_same = all(before[word] == order[word] for word in compared)
            return (201, before) if is_same or self.fault == "ignores other bodies" else (422, {})

    def _book(self, key: str, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self.lock:
            cents = round(100 * float(order["value"]))
            if self.balances[order["from"]] < cents and self.fault != "lends":
                return 422, {}
            self.balances[order["from"]] -= cents
            self.balances[order["to"]] += cents
            self.keys[key] = order | {"ref": uuid.uuid4().hex}
            self.rows.append(self.keys[key])
            return 201, self.keys[key]

    def get(self, path: str) -> tuple[int, Any]:
        *_, kind, name = path.split("/")
        with self.lock:
            if kind == "all":
                return 200, [{"id": account, "has": f"{cents / 100:.2f}"} for account, cents in self.balances.items()]
            if kind == "account":
                return 200, {"account": name, "balance": f"{self.balances[name] / 100:.2f}"}
            if kind == "events":
                return (200, {"done": [1] * self.events[name]}) if name in self.events else (404, {})
            return 200, {"data": {"list": [row for row in self.rows if name in {row["from"], row["to"]}]}}


def target_of(url: str) -> TargetFile:
    order = {"debit": "from", "credit": "to", "amount": "value", "currency": "unit"}
    payment = {**order, "id": "ref", "currency": None}
    return TargetFile.model_validate(
        {
            "base_url": url,
            "accounts": ACCOUNTS,
            "exclusive_accounts": True,
            "endpoints": {
                "transactions": {"path": "/pay", "body": order, "answer": payment, "amounts": "decimal"},
                "balance": {"path": "/account/{account}"},
                "transaction": None,
                "payments": {"path": "/payments/{account}", "items": "data.list", "answer": payment},
                "snapshot": {"path": "/all/x", "items": None, "answer": {"account": "id", "balance": "has"}},
                "effects": {"path": "/events/{event}", "answer": {"effects": "done"}},
            },
        }
    )


@contextmanager
def bank_server(fault: str = "", allows: int = 1_000_000) -> Iterator[tuple[BankServer, TargetFile]]:
    """Serve the bank in threads of this process; yields it with its target file."""
    bank = BankServer(fault, allows)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 65_536

        def do_GET(self) -> None:
            self._answer(*bank.get(self.path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            order = {word: body[word] for word in ("from", "to", "value")}
            self._answer(*bank.pay(self.headers["Idempotency-Key"], order, self.client_address[0]))

        def _answer(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 429:
                self.send_header("Retry-After", "60")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
        thread.start()
        try:
            yield bank, target_of(f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join(5)
