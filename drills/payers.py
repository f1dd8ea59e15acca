"""Makes payments at a steady rate from a few threads, and keeps each one with its answer."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import requests

if TYPE_CHECKING:
    from types import TracebackType

_THREADS: Final = 4
_TIMEOUT_S: Final = 30.0


class Payment(NamedTuple):
    intended_s: float
    """In `time.monotonic()` seconds."""
    took_s: float
    """From `intended_s` to the answer, including any wait for an earlier payment."""
    acknowledged_at: float
    """Wall clock, seconds since 1970."""
    id: str
    """Empty if it was not acknowledged."""
    answer: str


class Payers:
    """Makes payments while the context is active; afterwards `payments` has all of them."""

    def __init__(self, url: str, *, rate: float, accounts: int) -> None:
        """`rate` is payments per second over all threads."""
        self._url = url
        self._accounts = accounts
        self._every_s = _THREADS / rate
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._pay, args=[number]) for number in range(_THREADS)]
        self.payments: list[Payment] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _pay(self, number: int) -> None:
        due_s = time.monotonic() + number * self._every_s / _THREADS
        with requests.Session() as session:
            while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
                self.payments.append(self._pay_once(session, number, due_s))
                due_s += self._every_s

    def _pay_once(self, session: requests.Session, number: int, due_s: float) -> Payment:
        order = {
            "debit": f"acct-{number + 1:06d}",
            "credit": f"acct-{self._accounts - 1 - number:06d}",
            "amount": 1,
            "currency": "EUR",
        }
        paid, answer = "", ""
        try:
            got = session.post(
                f"{self._url}/transactions",
                json=order,
                headers={"Idempotency-Key": uuid.uuid4().hex},
                timeout=_TIMEOUT_S,
            )
            answer = str(got.status_code)
            paid = got.json()["id"] if got.status_code == 201 else ""
        except requests.RequestException as error:
            answer = type(error).__name__
        return Payment(due_s, time.monotonic() - due_s, time.time(), paid, answer)
