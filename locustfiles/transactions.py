"""Pays back and forth between two accounts of its own, and reads the last payment back now and then."""

from typing import Any
from uuid import UUID

from locust import task

from loadproof.payloads import CURRENCY, encode_json
from loadproof.transport import Answer, Request
from loadproof.users import ApiUser, expect


class TransactionUser(ApiUser):
    endpoint = "transactions"
    weight = 20

    last_paid: dict[str, Any] | None = None

    @task(3)
    def pay(self) -> None:
        debit, credit = self.random.sample(self.identity.paying_accounts, 2)
        payment = self.random.choice(self.payloads.payments)
        order = {"debit": debit, "credit": credit, "amount": payment.amount, "currency": CURRENCY}
        request = Request(
            "POST",
            "/transactions",
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": str(UUID(int=self.random.getrandbits(128))),
            },
            body=encode_json(order),
        )

        def is_paid(answer: Answer) -> None:
            expect(answer.status == 201, "transactions: not 201")
            expect(order.items() <= answer.json.items(), "transactions: another payment than ordered")
            expect(answer.headers["location"].endswith(answer.json["id"]), "transactions: Location of another")

        if answer := self.send(request, is_paid):
            self.last_paid = answer.json

    @task(1)
    def read_back(self) -> None:
        if self.last_paid is None:
            return self.pay()
        paid = self.last_paid

        def is_the_same(answer: Answer) -> None:
            expect(answer.status == 200, "transactions: not 200 when read back")
            expect(answer.json == paid, "transactions: changed since it was paid")

        self.send(Request("GET", f"/transactions/{paid['id']}"), is_the_same)
        return None
