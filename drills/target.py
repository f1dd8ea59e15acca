"""Runs the reference API as a real process with any settings, and sends requests to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from payments_api.settings import DEVELOPMENT_SECRET

ROOT: Final = Path(__file__).resolve().parents[1]
_READY: Final = "payments_api: ready on "
_LONGEST_START_S: Final = 60.0
_LONGEST_END_S: Final = 15.0


@dataclass
class Target:
    url: str
    process: subprocess.Popen[str]

    def pay(self, key: str | None = None, **changes: Any) -> requests.Response:
        order = {"debit": "acct-000001", "credit": "acct-000002", "amount": 5, "currency": "EUR"} | changes
        headers = {"Idempotency-Key": uuid.uuid4().hex if key is None else key}
        return requests.post(f"{self.url}/transactions", json=order, headers=headers, timeout=10)

    def deliver(
        self, event_id: str, body: bytes = b"{}", *, provider: str = "standard", **changes: str
    ) -> requests.Response:
        headers = signed(event_id, body) | changes
        return requests.post(f"{self.url}/webhooks/{provider}", data=body, headers=headers, timeout=10)

    def balance(self, account: str) -> int:
        return int(requests.get(f"{self.url}/balance/{account}", timeout=10).json()["balance"])

    def metric(self, name: str, labels: str = "") -> float:
        """The sum of all samples with this name, or with these labels."""
        inside = rf"{{[^}}]*{re.escape(labels)}[^}}]*}}" if labels else r"(?:{[^}]*})?"
        page = requests.get(f"{self.url}/metrics", timeout=60).text
        return sum(float(value) for value in re.findall(rf"^{name}{inside} (\S+)$", page, re.MULTILINE))

    def wait_for_requests(self) -> None:
        """Until a run has started to send."""
        deadline_s = time.monotonic() + _LONGEST_START_S
        # The probe before a run only requests health.
        while self.metric("limiter_decisions_total", 'endpoint="balance"') == 0:
            if time.monotonic() > deadline_s:
                raise SystemExit("drill: no request came; see what loadproof printed above")
            time.sleep(0.2)


def signed(event_id: str, body: bytes, *, timestamp: int | None = None) -> dict[str, str]:
    """The headers of a webhook according to Standard Webhooks."""
    stamp = str(int(time.time()) if timestamp is None else timestamp)
    key = base64.b64decode(DEVELOPMENT_SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{event_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


@contextmanager
def running_target(*arguments: str, stderr: int | None = None, **settings: str) -> Iterator[Target]:
    """Start `python -m payments_api` on a free loopback port, wait until it is ready, and stop it at the end.

    Its temporary directory is removed even if the API was killed.
    """
    with tempfile.TemporaryDirectory(prefix="target-") as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "payments_api", "--port", "0", "--exit-with-parent", *arguments],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": directory, **settings},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            if not line.startswith(_READY):
                raise SystemExit(f"the API doesn't start, got {line!r}; see above")
            yield Target(line.removeprefix(_READY), process)
        finally:
            process.terminate()
            try:
                process.wait(_LONGEST_END_S)
            finally:
                process.kill()  # an API that hangs would outlive the tests; one that has ended isn't signalled
                process.wait()
                process.stdout.close()
