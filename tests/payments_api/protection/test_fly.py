"""deploy/fly/fly.toml: behind Fly's proxy, customers are clients of their own."""

from __future__ import annotations

import asyncio
import tomllib

import pytest
from prometheus_client import CollectorRegistry

from payments_api.protection.metrics import ProtectionMetrics
from payments_api.protection.protection import Protection
from payments_api.settings import read_settings
from tests.commands import ROOT

FLY = tomllib.loads((ROOT / "deploy/fly/fly.toml").read_text(encoding="utf-8"))
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "word"}


def admitted(peer: str, *customers: str) -> list[bool]:
    """Of webhooks, five a minute, that this peer hands on for these customers."""
    protection = Protection(read_settings(FLY["env"] | KEYS).protection, metrics=ProtectionMetrics(CollectorRegistry()))

    async def decisions() -> list[bool]:
        found = []
        for customer in customers:
            scope = {"type": "http", "client": (peer, 1), "headers": [(b"fly-client-ip", customer.encode())]}
            client = protection.clients.of(scope)
            found.append((await protection.limits.decide("webhooks", client.key)).is_admitted)
        return found

    return asyncio.run(decisions())


@pytest.mark.parametrize("peer", ["172.16.4.10", "172.19.0.1", "::ffff:172.19.0.1", "fdaa:0:18:a7b:7d::2"])
def test_two_customers_behind_flys_proxy_are_two_clients(peer):
    """Without the header, or for a peer outside the networks, all of them had one limit together."""
    found = admitted(peer, *["203.0.113.5"] * 6, "203.0.113.6", "2001:db8::1")
    assert found == [True] * 5 + [False, True, True]


def test_who_comes_past_flys_proxy_says_in_vain_who_he_is():
    """The header of anybody else is ignored."""
    assert admitted("198.51.100.1", *(f"203.0.113.{number}" for number in range(6))) == [True] * 5 + [False]


def test_its_readme_says_how_to_check_the_networks_and_what_is_public():
    """Neither was seen on Fly, and /metrics is served where everything is."""
    readme = (ROOT / "deploy/fly/README.md").read_text(encoding="utf-8")
    for needed in ("TRUSTED_NETWORKS", "ratelimit", "/metrics", "/health/ready"):
        assert needed in readme
