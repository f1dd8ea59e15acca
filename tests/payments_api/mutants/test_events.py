"""Effects of webhooks, compared with the accepted events."""

from __future__ import annotations

import pytest

from loadproof.api.signing import DEVELOPMENT_SECRET, standard_headers
from tests.payments_api.mutants.breaking import is_broken_by, opened, running_api


async def effects_of(directory, *deliveries: tuple[str, bytes]) -> list[str]:
    ledger = opened(directory)
    for event, body in deliveries:
        await ledger.take_webhook("standard", event, body)
    found = ledger.rows("SELECT event_id FROM webhook_effects ORDER BY event_id")
    ledger.close()
    return [row["event_id"] for row in found]


async def an_equal_body_is_another_event(directory) -> bool:
    return await effects_of(directory, ("first", b"{}"), ("second", b"{}")) == ["first", "second"]


async def an_accepted_event_has_its_effect(directory) -> bool:
    events = [f"event-{number:02}" for number in range(30)]
    return await effects_of(directory, *((event, event.encode()) for event in events * 2)) == events


async def a_signature_is_one_event_s(directory) -> bool:
    """With empty bodies, which are signed like any other."""
    async with running_api(directory) as api:
        proof = {
            name.replace("-", "_"): text for name, text in standard_headers("first", b"", DEVELOPMENT_SECRET).items()
        }
        right, again = [
            (await api.ask("/webhooks/standard", method="POST", **{**proof, "webhook_id": event})).status
            for event in ("first", "second")
        ]
    return (right, again) == (202, 401)


PROMISES = {
    "webhook-by-body": an_equal_body_is_another_event,
    "webhook-marked-first": an_accepted_event_has_its_effect,
    "webhook-signature-remembered": a_signature_is_one_event_s,
}


@pytest.mark.parametrize("name", PROMISES)
def test_an_event_takes_effect_once_but_for_the_mutant(name, tmp_path, monkeypatch):
    number = 20 if name == "webhook-marked-first" else None
    assert is_broken_by(name, PROMISES[name], tmp_path, monkeypatch, number=number)


def test_the_mutant_that_hashes_bodies_takes_another_spelling_for_another_event(tmp_path, monkeypatch):
    """The other half of this fault."""

    async def is_one(directory) -> bool:
        return await effects_of(directory, ("first", b"{}"), ("first", b"{ }")) == ["first"]

    assert is_broken_by("webhook-by-body", is_one, tmp_path, monkeypatch)
