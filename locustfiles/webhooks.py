"""Delivers signed events as a payment provider does; occasionally the same one twice, which must change nothing."""

from typing import Any

from locust import task

from loadproof.api.calls import Reply
from loadproof.users.user import ApiUser, expect


class WebhookUser(ApiUser):
    endpoint = "webhooks"
    weight = 10

    delivered: tuple[str, dict[str, Any]] | None = None

    @task(4)
    def deliver(self) -> None:
        event = f"evt_{self.new_id().hex}", self.random.choice(self.payloads.events)
        if self._deliver(event, again=False):
            self.delivered = event

    @task(1)
    def deliver_again(self) -> None:
        if self.delivered is None:
            self.deliver()
        else:
            self._deliver(self.delivered, again=True)

    def _deliver(self, event: tuple[str, dict[str, Any]], *, again: bool) -> Reply | None:
        def is_taken(reply: Reply) -> None:
            is_told = reply.says("duplicate", again) or (reply.may_be_second and reply.says("duplicate", expected=True))
            expect(is_told, "webhooks: told a first delivery from a second wrongly")

        return self.send(self.api.deliver(*event), is_taken)
