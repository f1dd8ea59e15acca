"""Small in-memory ledgers on a fake clock: correct ones, and some that break one promise each."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

OPENING = 10_000


class World:
    """Runs events in the order of their times, in µs."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()

    def after(self, delay_us: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_us, next(self._numbers), action))

    def delay(self) -> int:
        """The duration of a network hop or a processing step, in µs."""
        return self.random.randint(50, 2_000)

    def run(self) -> None:
        while self._events:
            self.now, _, action = heapq.heappop(self._events)
            action()


@dataclass(frozen=True)
class Booked:
    payment: str
    key: str
    debit: str
    credit: str
    amount: int


Body = tuple[str, str, int]
"""Debit, credit, amount."""
Reply = Callable[[int, str], None]
"""Called with the status and the payment's id."""


class Bank:
    """A correct bank: checks key and funds, and writes both postings and the row in one instant."""

    def __init__(self, world: World, accounts: list[str]) -> None:
        self.world = world
        self.balances = dict.fromkeys(accounts, OPENING)
        self.rows: list[Booked] = []
        self.keys: dict[str, tuple[Body, int, str]] = {}
        self._numbers = count(1)

    def pay(self, key: str, body: Body, reply: Reply) -> None:
        self.world.after(self.world.delay(), lambda: self.answer(reply, *self.commit(key, body)))

    def answer(self, reply: Reply, status: int, payment: str) -> None:
        self.world.after(self.world.delay(), lambda: reply(status, payment))

    def commit(self, key: str, body: Body) -> tuple[int, str]:
        if key in self.keys:
            return self.known(key, body)
        if not self.covers(body):
            self.keys[key] = body, 422, ""
        else:
            self.move(body)
            self.keys[key] = body, 201, self.book(key, body)
        return self.keys[key][1:]

    def known(self, key: str, body: Body, /) -> tuple[int, str]:
        before, status, payment = self.keys[key]
        return (status, payment) if before == body else (422, "")

    def covers(self, body: Body) -> bool:
        return self.balances[body[0]] >= body[2]

    def move(self, body: Body) -> None:
        debit, credit, amount = body
        self.balances[debit] -= amount
        self.balances[credit] += amount

    def book(self, key: str, body: Body) -> str:
        payment = f"p{next(self._numbers)}"
        self.rows.append(Booked(payment, key, *body))
        return payment

    def balance(self, account: str) -> int:
        return self.balances[account]

    def snapshot(self) -> dict[str, int]:
        return dict(self.balances)

    def shown(self, row: Booked) -> Body:
        """The payment as read by its id."""
        return row.debit, row.credit, row.amount


class LaxBank(Bank):
    """Also correct: a refused key may be used again."""

    def commit(self, key: str, body: Body) -> tuple[int, str]:
        answer = super().commit(key, body)
        if answer[0] != 201 and self.keys[key][0] == body:
            del self.keys[key]
        return answer


class UnlockedBank(Bank):
    """Reads both balances, and writes them later."""

    def pay(self, key: str, body: Body, reply: Reply) -> None:
        def read() -> None:
            if key in self.keys or not self.covers(body):
                self.answer(reply, *self.commit(key, body))
                return
            debit, credit, amount = body
            written = {debit: self.balances[debit] - amount, credit: self.balances[credit] + amount}

            def write() -> None:
                if key in self.keys:
                    self.answer(reply, *self.known(key, body))
                    return
                self.balances |= written
                self.keys[key] = body, 201, self.book(key, body)
                self.answer(reply, *self.keys[key][1:])

            self.world.after(self.world.delay(), write)

        self.world.after(self.world.delay(), read)


class StaleBank(Bank):
    """Remembers balances for 20 ms."""

    def balance(self, account: str) -> int:
        if not hasattr(self, "cache"):
            self.cache: dict[str, tuple[int, int]] = {}
        read_us, balance = self.cache.get(account, (-20_000, 0))
        if self.world.now - read_us >= 20_000:
            self.cache[account] = self.world.now, self.balances[account]
            return self.balances[account]
        return balance


class HastyBank(Bank):
    """Acknowledges before it commits; one in 40 payments is then lost."""

    def pay(self, key: str, body: Body, reply: Reply) -> None:
        if key in self.keys or not self.covers(body) or self.world.random.random() > 1 / 40:
            super().pay(key, body, reply)
        else:
            self.world.after(self.world.delay(), lambda: reply(201, f"p{next(self._numbers)}"))


class ForgetfulBank(Bank):
    """Acknowledges every 50th payment without writing anything."""

    commits = 0

    def commit(self, key: str, body: Body) -> tuple[int, str]:
        if key not in self.keys and self.covers(body):
            self.commits += 1
            if self.commits % 50 == 0:
                self.keys[key] = body, 201, f"p{next(self._numbers)}"
                return self.keys[key][1:]
        return super().commit(key, body)


class RowlessBank(ForgetfulBank):
    """Every 50th payment moves its money but leaves no row."""

    def commit(self, key: str, body: Body) -> tuple[int, str]:
        known = key in self.keys
        answer = super().commit(key, body)
        if answer[0] == 201 and not known and not any(row.payment == answer[1] for row in self.rows):
            self.move(body)
        return answer


class UnmovedBank(ForgetfulBank):
    """Every 50th payment has its row but moves no money."""

    def commit(self, key: str, body: Body) -> tuple[int, str]:
        known = key in self.keys
        answer = super().commit(key, body)
        if answer[0] == 201 and not known and not any(row.payment == answer[1] for row in self.rows):
            self.rows.append(Booked(answer[1], key, *body))
        return answer


class KeyOutsideBank(Bank):
    """Books, then notes the key in a second transaction, which fails with a 500 one in ten times."""

    def commit(self, key: str, body: Body) -> tuple[int, str]:
        is_new = key not in self.keys
        answer = super().commit(key, body)
        if is_new and answer[0] == 201 and self.world.random.random() < 0.1:
            del self.keys[key]
            return 500, ""
        return answer


class CheckThenInsertBank(Bank):
    """Checks whether the key is there, and books later."""

    def pay(self, key: str, body: Body, reply: Reply) -> None:
        def check() -> None:
            if key in self.keys:
                self.answer(reply, *self.known(key, body))
                return

            def insert() -> None:
                self.keys.pop(key, None)
                self.answer(reply, *self.commit(key, body))

            self.world.after(self.world.delay(), insert)

        self.world.after(self.world.delay(), check)


class IndifferentBank(Bank):
    """Answers another body under a known key with the first payment."""

    def known(self, key: str, _: Body, /) -> tuple[int, str]:
        return self.keys[key][1:]


class RoundingBank(Bank):
    """Books one payment in 40 with a cent less."""

    def book(self, key: str, body: Body) -> str:
        debit, credit, amount = body
        return super().book(key, (debit, credit, amount - (self.world.random.random() < 1 / 40)))


class SwappingBank(Bank):
    """Books one payment in 40 from the creditor to the debtor."""

    def book(self, key: str, body: Body) -> str:
        debit, credit, amount = body
        is_swapped = self.world.random.random() < 1 / 40
        return super().book(key, (credit, debit, amount) if is_swapped else body)


class LendingBank(Bank):
    """Checks the balance, and takes from it later."""

    def pay(self, key: str, body: Body, reply: Reply) -> None:
        is_covered = self.covers(body)

        def act() -> None:
            if is_covered and key not in self.keys:
                self.move(body)
                self.keys[key] = body, 201, self.book(key, body)
            self.answer(reply, *self.commit(key, body))

        self.world.after(self.world.delay(), act)


class InventiveBank(Bank):
    """Adds a payment that nobody ordered to one payment in 40."""

    def book(self, key: str, body: Body) -> str:
        payment = super().book(key, body)
        if self.world.random.random() < 1 / 40:
            invented = (body[1], body[0], body[2] + 7)
            self.move(invented)
            super().book("", invented)
        return payment


class TornBank(Bank):
    """Debits one account, and credits the other a moment later."""

    def move(self, body: Body) -> None:
        debit, credit, amount = body
        self.balances[debit] -= amount

        def give() -> None:
            self.balances[credit] += amount

        self.world.after(self.world.delay(), give)


class BookingRefuserBank(Bank):
    """Refuses one payment in 40 with a 422 after booking it."""

    def commit(self, key: str, body: Body) -> tuple[int, str]:
        is_new = key not in self.keys
        answer = super().commit(key, body)
        if is_new and answer[0] == 201 and self.world.random.random() < 1 / 40:
            self.keys[key] = body, 422, ""
            return 422, ""
        return answer


class ConflictingBank(Bank):
    """Also correct: another body under a known key is a conflict."""

    def known(self, key: str, body: Body, /) -> tuple[int, str]:
        return super().known(key, body) if self.keys[key][0] == body else (409, "")


class MistakenBank(Bank):
    """Answers one payment in 40 with the previous payment's id."""

    def commit(self, key: str, body: Body) -> tuple[int, str]:
        is_new = key not in self.keys
        answer = super().commit(key, body)
        if is_new and answer[0] == 201 and len(self.rows) > 1 and self.world.random.random() < 1 / 40:
            self.keys[key] = body, 201, self.rows[-2].payment
            return self.keys[key][1:]
        return answer


class FlickeringBank(Bank):
    """Shows one payment in 40 from the creditor to the debtor, and correctly the next time."""

    def shown(self, row: Booked) -> Body:
        debit, credit, amount = super().shown(row)
        return (credit, debit, amount) if self.world.random.random() < 1 / 40 else (debit, credit, amount)


class ShamefacedBank(LendingBank):
    """Lends, but never shows a balance below zero."""

    def balance(self, account: str) -> int:
        return max(0, super().balance(account))

    def snapshot(self) -> dict[str, int]:
        return {account: max(0, balance) for account, balance in self.balances.items()}
