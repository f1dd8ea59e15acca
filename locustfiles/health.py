"""Checks whether the service is alive, as a monitor does."""

from functools import cached_property

from locust import task

from loadproof.api.calls import Call, Reply
from loadproof.users.user import ApiUser, expect


class HealthUser(ApiUser):
    endpoint = "health"
    weight = 20

    @cached_property
    def asking(self) -> Call:
        return self.api.ask_health()

    @task
    def ask(self) -> None:
        self.send(self.asking, self._is_alive)

    def _is_alive(self, reply: Reply) -> None:
        expect(reply.says("status", self.api.alive), "health: not alive")
