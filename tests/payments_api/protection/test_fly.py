"""deploy/fly/fly.toml: behind Fly's proxy, each customer is a separate client."""

from __future__ import annotations

import asyncio
import re
import socket
import tomllib

import pytest
import requests
from prometheus_client import CollectorRegistry

from drills.target import running_target
from payments_api.protection.metrics import ProtectionMetrics
from payments_api.protection.protection import Protection
from payments_api.settings import read_settings
from tests.commands import ROOT

FLY = tomllib.loads((ROOT / "deploy/fly/fly.toml").read_text(encoding="utf-8"))
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "word"}


def admitted(peer: str, *customers: str) -> list[bool]:
    """Which webhooks, limited to five a minute, are admitted that this peer forwards for these customers."""
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
    """Without the header, or for a peer outside the networks, all customers would share one limit."""
    found = admitted(peer, *["203.0.113.5"] * 6, "203.0.113.6", "2001:db8::1")
    assert found == [True] * 5 + [False, True, True]


def test_a_client_that_bypasses_flys_proxy_is_not_believed():
    """Anybody else's header is ignored."""
    assert admitted("198.51.100.1", *(f"203.0.113.{number}" for number in range(6))) == [True] * 5 + [False]


def test_its_readme_says_how_to_check_the_networks_and_what_is_public():
    """Neither was tried out on Fly."""
    readme = (ROOT / "deploy/fly/README.md").read_text(encoding="utf-8")
    for needed in ("TRUSTED_NETWORKS", "ratelimit", "/metrics", "/health/ready"):
        assert needed in readme


@pytest.fixture(scope="module")
def behind_fly():
    """A target with fly.toml's settings for the identification of clients."""
    settings = {name: FLY["env"][name] for name in ("CLIENT_HEADER", "TRUSTED_NETWORKS", "METRICS")}
    with running_target(**settings) as target:
        yield target


FROM_PROXY = {"Fly-Client-IP": "203.0.113.5", "Fly-Forwarded-Port": "443"}


@pytest.mark.process
@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/metrics?x=1", "/./metrics"])
@pytest.mark.parametrize("headers", [FROM_PROXY, {"fly-client-ip": ""}])
def test_metrics_are_hidden_from_requests_through_the_proxy(behind_fly, path, headers):
    """However the path is written, and whatever the header says."""
    answer = asked(behind_fly.url, "GET", path, headers)
    assert b" 404 " in answer or b" 307 " in answer
    assert b"http_requests_total" not in answer


@pytest.mark.process
def test_metrics_are_served_to_requests_that_bypass_the_proxy(behind_fly):
    """For Fly's scraper; its readiness check works either way."""
    page = requests.get(f"{behind_fly.url}/metrics", timeout=5)
    assert page.status_code == 200
    before = re.search(r'^protection_refusals_total\{by="private"\} (\S+)$', page.text, re.MULTILINE)
    assert requests.get(f"{behind_fly.url}/metrics", headers=FROM_PROXY, timeout=5).status_code == 404
    after = requests.get(f"{behind_fly.url}/metrics", timeout=5).text
    assert f'protection_refusals_total{{by="private"}} {float(before[1]) + 1}' in after
    for headers in ({}, FROM_PROXY):
        assert requests.get(f"{behind_fly.url}/health/ready", headers=headers, timeout=5).status_code == 200


def test_the_scrape_uses_the_served_port():
    assert FLY["metrics"] == {"port": FLY["http_service"]["internal_port"], "path": "/metrics"}


def asked(url: str, method: str, path: str, headers: dict[str, str]) -> bytes:
    """The raw answer to a request for exactly this path, which HTTP clients would normalise."""
    host, _, port = url.removeprefix("http://").partition(":")
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall("\r\n".join([*lines, "connection: close", "", ""]).encode())
        return b"".join(iter(lambda: connection.recv(65_536), b""))
