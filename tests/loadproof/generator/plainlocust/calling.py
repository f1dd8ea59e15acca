"""A Locust user with its own client, to test what is recorded about such users."""

from __future__ import annotations

from typing import Any

from tests.unpatched import locust  # isort: skip

import gevent
from locust import constant


class Calling(locust.User):
    """Has its own client, and reports each call to Locust."""

    abstract = True
    wait_time = constant(0.05)
    takes_s = 0.0

    def call(self, name: str = "call", **told: Any) -> None:
        gevent.sleep(self.takes_s)
        event = {"request_type": "RPC", "response_time": self.takes_s * 1000, "response_length": 3, "exception": None}
        self.environment.events.request.fire(**event | {"name": name} | told)
