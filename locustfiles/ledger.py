"""Pays, then immediately reads the balance and the payment back: a confirmed payment must be there.

For audits of the ledger, with `mix: {ledger: {share: …, requests: [transactions, balance]}}`.
"""

from locust import task

from loadproof.api.calls import Reply
from loadproof.users.user import ApiUser, expect


class LedgerUser(ApiUser):
    endpoint = "ledger"
    weight = 1

    @task
    def pay_and_look(self) -> None:
        debit, credit = self.random.sample(self.identity.paying_accounts, 2)
        amount = self.random.choice(self.payloads.payments).amount
        order = self.api.pay(debit=debit, credit=credit, amount=amount, key=str(self.new_id()), name="transactions")

        def is_paid(reply: Reply) -> None:
            expect(reply.repeats(order.sent), "transactions: another payment than ordered")

        def is_its_own(reply: Reply) -> None:
            expect(reply.says("account", debit), "balance: of another account")

        if paid := self.send(order, is_paid):
            self.send(self.api.read_balance(debit, name="balance"), is_its_own)
            if self.api.can_read_payments and paid["id"] is not None:
                self.send(self.api.read_payment(str(paid["id"]), name="transactions"), is_paid)
