"""Asks whether the service is alive, as a monitor does."""

from locust import task

from loadproof.transport import Answer, Request
from loadproof.users import ApiUser, expect


class HealthUser(ApiUser):
    endpoint = "health"
    weight = 20

    @task
    def ask(self) -> None:
        self.send(Request("GET", "/health"), _is_alive)


def _is_alive(answer: Answer) -> None:
    expect(answer.status == 200, "health: not 200")
    expect(answer.json["status"] == "ok", "health: not ok")
