"""Pays between its own accounts, and occasionally reads the last payment back."""

from typing import Any

from locust import task

from loadproof.api.calls import Reply
from loadproof.users.user import ApiUser, expect


class TransactionUser(ApiUser):
    endpoint = "transactions"
    weight = 20

    last_paid: dict[str, Any] | None = None

    @task(3)
    def pay(self) -> None:
        debit, credit = self.random.sample(self.identity.paying_accounts, 2)
        amount = self.random.choice(self.payloads.payments).amount
        order = self.api.pay(debit=debit, credit=credit, amount=amount, key=str(self.new_id()))

        def is_paid(reply: Reply) -> None:
            reply.told()  # Raises if a field is missing.
            expect(reply.repeats(order.sent), "transactions: another payment than ordered")
            if self.api.has_location:
                location = reply.answer.headers.get("location", "")
                expect(location.endswith(str(reply["id"])), "transactions: Location of another")

        if reply := self.send(order, is_paid):
            self.last_paid = reply.told()

    @task(1)
    def read_back(self) -> None:
        paid = self.last_paid
        if paid is None or paid["id"] is None or not self.api.can_read_payments:
            return self.pay()

        def is_the_same(reply: Reply) -> None:
            expect(all(reply.says(word, value) for word, value in paid.items()), "transactions: changed since paid")

        self.send(self.api.read_payment(str(paid["id"])), is_the_same)
        return None
