"""Ordinary users, in code that runs on every Locust since 1.0."""

import os

from locust import HttpUser, constant, task

HOSTILE = os.environ.get("NAMES") == "hostile"
QUOTED = 'balance, "the 1st"' if HOSTILE else "/balance/[id]"
BROKEN = "health\n<b>été</b> 健康" if HOSTILE else "/health"


class Visitor(HttpUser):
    wait_time = constant(float(os.environ.get("WAIT_S", "0.1")))

    @task(4)
    def read_balance(self):
        self.client.get("/balance/acct-000001", name=QUOTED)

    @task(2)
    def look_at_health(self):
        self.client.get("/health", name=BROKEN)

    @task(1)
    def ask_for_nothing(self):
        self.client.get("/nowhere", name="/nowhere")

    @task(1)
    def trip(self):
        raise ValueError("a mistake, in the locustfile")
