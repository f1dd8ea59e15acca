"""The reference target as a real process, as often and with whatever settings a test wants."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from payments_api.settings import DEVELOPMENT_SECRET

READY = "payments_api: ready on "


@dataclass
class RunningTarget:
    url: str
    process: subprocess.Popen[str]

    def pay(self, key: str | None = None, **changes: Any) -> requests.Response:
        order = {"debit": "acct-000001", "credit": "acct-000002", "amount": 5, "currency": "EUR"} | changes
        headers = {"Idempotency-Key": uuid.uuid4().hex if key is None else key}
        return requests.post(f"{self.url}/transactions", json=order, headers=headers, timeout=10)

    def deliver(self, event_id: str, body: bytes = b"{}", *, provider: str = "standard", **changes: str):
        headers = signed(event_id, body) | changes
        return requests.post(f"{self.url}/webhooks/{provider}", data=body, headers=headers, timeout=10)

    def balance(self, account: str) -> int:
        return requests.get(f"{self.url}/balance/{account}", timeout=10).json()["balance"]


def signed(event_id: str, body: bytes, *, timestamp: int | None = None) -> dict[str, str]:
    stamp = str(int(time.time()) if timestamp is None else timestamp)
    key = base64.b64decode(DEVELOPMENT_SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{event_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


@contextmanager
def running_target(*arguments: str, **settings: str) -> Iterator[RunningTarget]:
    """Start `python -m payments_api` on a free port, wait until it is ready, stop it in the end.

    What it leaves in its temporary directory when a test kills it is removed.
    """
    with tempfile.TemporaryDirectory(prefix="target-") as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "payments_api", "--port", "0", *arguments],
            env={**os.environ, "TMPDIR": directory, "ACCOUNTS": "50", **settings},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            line = process.stdout.readline().strip()
            assert line.startswith(READY), line
            yield RunningTarget(line.removeprefix(READY), process)
        finally:
            process.terminate()
            process.wait(15)
            process.stdout.close()


def session_from(address: str) -> requests.Session:
    """A session whose connections come from this loopback address."""

    class FromAddress(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, source_address=(address, 0), **kwargs)

    session = requests.Session()
    session.mount("http://", FromAddress())
    return session
