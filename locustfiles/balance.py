"""Reads the balance of an account that nobody else moves money to or from."""

from locust import task

from loadproof.transport import Answer, Request
from loadproof.users import ApiUser, expect


class BalanceUser(ApiUser):
    endpoint = "balance"
    weight = 50

    known_balance: int | None = None

    @task
    def read(self) -> None:
        self.send(Request("GET", f"/balance/{self.identity.read_account}"), self._is_known)

    def _is_known(self, answer: Answer) -> None:
        expect(answer.status == 200, "balance: not 200")
        body = answer.json
        expect(body["account"] == self.identity.read_account, "balance: of another account")
        expect(body["balance"] >= 0, "balance: negative")
        # Nobody pays from or to this account, so what was read first stays.
        expect(self.known_balance in {None, body["balance"]}, "balance: changed without a transaction")
        self.known_balance = body["balance"]
