"""Delivers signed events as a payment provider does; now and then the same one twice, which must change nothing."""

from uuid import UUID

from locust import task

from loadproof.signing import standard_webhook_headers
from loadproof.transport import Answer, Request
from loadproof.users import ApiUser, expect


class WebhookUser(ApiUser):
    endpoint = "webhooks"
    weight = 10

    delivered: tuple[str, bytes] | None = None

    @task(4)
    def deliver(self) -> None:
        event = (
            f"evt_{UUID(int=self.random.getrandbits(128)).hex}",
            self.random.choice(self.payloads.webhook_bodies),
        )
        if self._deliver(event, again=False):
            self.delivered = event

    @task(1)
    def deliver_again(self) -> None:
        if self.delivered is None:
            self.deliver()
        else:
            self._deliver(self.delivered, again=True)

    def _deliver(self, event: tuple[str, bytes], *, again: bool) -> Answer | None:
        event_id, body = event
        headers = standard_webhook_headers(event_id, body, self.workload.webhook_secret)

        def is_taken(answer: Answer) -> None:
            expect(answer.status in {200, 202}, "webhooks: not accepted")
            expect(answer.json["duplicate"] is again, "webhooks: told a first delivery from a second wrongly")

        return self.send(Request("POST", "/webhooks/standard", headers=headers, body=body), is_taken)
