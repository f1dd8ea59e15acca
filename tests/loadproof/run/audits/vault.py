"""A bank in an SQLite file, a single-file program with correct and faulty ways to back up and restore.

python vault.py serve FILE PORT [broken]
python vault.py backup HOW FILE PLACE
python vault.py restore HOW PLACE FILE
"""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ACCOUNTS = [f"v{number}" for number in range(6)]
OPENING = 1_000_000
_LATE_S = 0.3
"""How long a backup takes, so that payments go on meanwhile."""


class Vault:
    """A single connection, whose log isn't checkpointed into the file while it is open."""

    def __init__(self, file: Path) -> None:
        self.lock = threading.Lock()
        self.database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("CREATE TABLE IF NOT EXISTS accounts (id TEXT PRIMARY KEY, balance INTEGER)")
        self.database.execute("CREATE TABLE IF NOT EXISTS payments (id TEXT, key TEXT, debit, credit, amount)")
        rows = [(account, OPENING) for account in ACCOUNTS]
        self.database.executemany("INSERT OR IGNORE INTO accounts VALUES (?, ?)", rows)
        self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.database.execute("PRAGMA wal_autocheckpoint = 0")

    def pay(self, key: str, debit: str, credit: str, amount: int) -> dict[str, Any]:
        payment = {"id": uuid.uuid4().hex, "key": key, "debit": debit, "credit": credit, "amount": amount}
        with self.lock:
            self.database.execute("BEGIN IMMEDIATE")
            self.database.execute("INSERT INTO payments VALUES (:id, :key, :debit, :credit, :amount)", payment)
            self.database.execute("UPDATE accounts SET balance = balance - ? WHERE id = ?", (amount, debit))
            self.database.execute("UPDATE accounts SET balance = balance + ? WHERE id = ?", (amount, credit))
            self.database.execute("COMMIT")
        return payment

    def get(self, path: str) -> Any:
        kind, name = path.strip("/").partition("/")[::2]
        with self.lock:
            if kind == "health":
                return {"status": "ok"}
            if kind == "accounts":
                return [
                    {"account": row[0], "balance": row[1]} for row in self.database.execute("SELECT * FROM accounts")
                ]
            found = self.database.execute("SELECT * FROM payments WHERE ? IN (debit, credit)", (name,))
            return [dict(zip(("id", "key", "debit", "credit", "amount"), row, strict=True)) for row in found]


def serve(file: Path, port: int) -> None:
    vault = Vault(file)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 65_536

        def do_GET(self) -> None:
            self._answer(200, vault.get(self.path))

        def do_POST(self) -> None:
            order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers["Idempotency-Key"]
            self._answer(201, vault.pay(key, order["debit"], order["credit"], order["amount"]))

        def _answer(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def back_up(how: str, file: Path, place: Path) -> None:
    copy, source = place / "copy.sqlite3", sqlite3.connect(file)
    match how:
        case "online":
            source.backup(sqlite3.connect(copy))
            time.sleep(_LATE_S)
        case "vacuum":
            time.sleep(_LATE_S)
            source.execute("VACUUM INTO ?", (str(copy),))
        case "live file":
            source.close()
            shutil.copy(file, copy)
            time.sleep(_LATE_S)
        case "old":
            # A copy of unknown age.
            shutil.copy(file.with_suffix(".old"), copy)
            time.sleep(_LATE_S)
        case "endless":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        case "failing":
            sys.exit("no room left in the vault")


def restore(how: str, place: Path, file: Path) -> None:
    shutil.copy(place / "copy.sqlite3", file)
    database = sqlite3.connect(file)
    for payment, _, debit, credit, amount in (
        database.execute("SELECT * FROM payments ORDER BY rowid DESC LIMIT 40").fetchall() if how != "whole" else ()
    ):
        database.execute("DELETE FROM payments WHERE id = ?", (payment,))
        if how == "newest undone":
            database.execute("UPDATE accounts SET balance = balance + ? WHERE id = ?", (amount, debit))
            database.execute("UPDATE accounts SET balance = balance - ? WHERE id = ?", (amount, credit))
    database.commit()
    if how == "half a payment":
        database.execute("UPDATE accounts SET balance = balance - 1 WHERE id = 'v0'")
        database.commit()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", file, port]:
            serve(Path(file), int(port))
        case ["serve", _, _, "broken"]:
            sys.exit("the vault doesn't open")
        case ["backup", how, file, place]:
            back_up(how, Path(file), Path(place))
        case ["restore", how, place, file]:
            restore(how, Path(place), Path(file))
