"""Asks whether the service is alive, as a monitor does."""

from locust import task

from loadproof.api import Reply
from loadproof.users import ApiUser, expect


class HealthUser(ApiUser):
    endpoint = "health"
    weight = 20

    @task
    def ask(self) -> None:
        self.send(self.api.ask_health(), self._is_alive)

    def _is_alive(self, reply: Reply) -> None:
        expect(reply.says("status", self.api.alive), "health: not alive")
