"""Reads the balance of an account that no money moves to or from."""

from decimal import Decimal
from functools import cached_property

from locust import task

from loadproof.api.calls import Call, Reply
from loadproof.users.user import ApiUser, expect


class BalanceUser(ApiUser):
    endpoint = "balance"
    weight = 50

    known_balance: Decimal | None = None

    @cached_property
    def reading(self) -> Call:
        return self.api.read_balance(self.identity.read_account)

    @task
    def read(self) -> None:
        self.send(self.reading, self._is_known)

    def _is_known(self, reply: Reply) -> None:
        expect(reply.says("account", self.identity.read_account), "balance: of another account")
        balance = reply.number("balance")
        expect(balance >= 0, "balance: negative")
        # Nobody pays to or from this account, so its balance must stay as first read.
        expect(
            self.known_balance is None or balance == self.known_balance or self.api.balances_may_change,
            "balance: changed without a transaction",
        )
        self.known_balance = balance
