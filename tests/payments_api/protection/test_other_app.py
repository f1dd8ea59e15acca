"""The README's example of another app behind this protection, run as printed."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry

from loadproof.run.machine.ports import free_port
from payments_api.protection.metrics import ProtectionMetrics
from payments_api.protection.middleware import ProtectionMiddleware
from payments_api.protection.options import Options
from payments_api.protection.penalties import PenaltyRule
from payments_api.protection.protection import Protection
from tests.commands import ROOT

EXAMPLE = re.search(r"```python\n(.*?)```", (ROOT / "payments_api/README.md").read_text(), re.DOTALL).group(1)


@pytest.mark.process
def test_the_readmes_example_protects_an_app(tmp_path):
    """Limits, fields, bots and penalties: with the printed code, and nothing else."""
    assert len([line for line in EXAMPLE.splitlines() if line]) <= 15
    Path(tmp_path / "own.py").write_text(EXAMPLE)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "own:app", "--port", str(port), "--no-proxy-headers"]
    command += ["--http", "payments_api.protection.fairness:FairProtocol"]
    command += ["--log-level", "warning", "--app-dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            until_answers(f"{url}/unknown")
            answers = [requests.get(f"{url}/orders/{number}", timeout=5) for number in range(5)]
            assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
            assert answers[0].headers["ratelimit-policy"] == '"orders";q=3;w=60'
            assert int(answers[3].headers["retry-after"]) > 60
            assert requests.get(f"{url}/unknown", timeout=5).json()["type"] == "urn:problem:penalty"
            bot = requests.get(f"{url}/unknown", headers={"User-Agent": "sqlmap"}, timeout=5)
            assert bot.status_code == 403
        finally:
            server.terminate()
        assert server.wait(10) in {0, -15}


def until_answers(url: str) -> None:
    deadline_s = time.monotonic() + 20
    while True:
        try:
            requests.get(url, timeout=1)
        except requests.ConnectionError:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        else:
            return


def test_limits_without_one_for_other_paths_are_refused():
    """Otherwise an unknown path would be unlimited, or an error."""
    with pytest.raises(ValueError, match="other"):
        Options(limits={"orders": "3/min"})


def protection_with(**options: object) -> Protection:
    return Protection(Options(**options), metrics=ProtectionMetrics(CollectorRegistry()))


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"limiter": "reddis"}, "limiter: got 'reddis'; use one of local, redis, slowapi, off"),
        ({"limits": {"/orders": "3/min"}}, "limits: got '/orders'; write one segment of the path, like orders; what"),
        ({"limits": {"Orders": "3/min"}}, "limits: got 'Orders'; write one segment"),
        ({"limits": {"v1/orders": "3/min"}}, "limits: got 'v1/orders'; write one segment"),
        ({"limits": {"orders": "3/minute"}}, "limits: got '3/minute' for 'orders'; write it like 60/min (s, min, h)"),
        ({"limits": {"orders": "0/min"}}, "limits: got '0/min' for 'orders'; write it like 60/min"),
        ({"prefix": "api/v1/"}, "prefix: got 'api/v1/'; write it like /api/v1"),
        ({"limiter": "off", "penalty": PenaltyRule(1)}, "penalty: got one with limiter off, where nothing is exceeded"),
        ({"limiter": "redis"}, "redis_url: got none for limiter redis; name the server"),
        ({"redis_url": "redis://127.0.0.1"}, "redis_url: got one that limiter local doesn't use; set limiter to redis"),
        ({"limiter": "redis", "redis_url": "secret:6379"}, "redis_url: got a secret; write it like redis://127.0.0.1"),
        ({"client_header": "x-real-ip"}, "trusted_networks: got none that may send client_header; name your proxies'"),
        (
            {"private": frozenset({"/metrics"})},
            "client_header: got none, so nothing shows who must not see private paths",
        ),
        ({"bots": "yes"}, "bots: got 'yes'; use one of off, on, strict"),
        ({"bots_file": "bots.txt"}, "bots_file: got one with bots off; set bots to on or strict, or leave it out"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(options, refusal):
    """Options in code aren't checked as variables are, and a limit that applies to nothing looks like any other."""
    if "limits" in options:
        options = options | {"limits": options["limits"] | {"other": "60/min"}}
    with pytest.raises(ValueError, match=re.escape(refusal)) as raised:
        protection_with(**options)
    assert "secret:" not in str(raised.value)


async def app(scope: dict, _receive: object, send: object) -> None:
    """Answers every path with the path itself."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def ask(protection: Protection, path: str, *headers: tuple[bytes, bytes], root: str = "") -> tuple[int, str]:
    """The status, and the limit that the request counted against."""
    sent: list[dict] = []
    scope = {"type": "http", "method": "GET", "path": path, "root_path": root, "headers": [*headers]}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(ProtectionMiddleware(app, protection)(scope | {"client": ("127.0.0.1", 1)}, None, send))
    policy = dict(sent[0]["headers"]).get(b"ratelimit-policy", b"").decode()
    return sent[0]["status"], policy.partition(";")[0].strip('"')


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/api/v1/orders/1", "orders"),
        ("/api/v1/orders", "orders"),
        ("/API/v1//Orders/1", "orders"),
        ("//api/%2e/v1/orders/", "orders"),
        ("/x/../api/v1/orders/1", "orders"),
        ("/api/v1/x/../orders", "orders"),
        ("/health", "health"),
        ("/api/v1/", "other"),
        ("/api/v1", "other"),
        ("/api/v1x/orders", "other"),
        ("/api/v2/orders", "other"),
        ("/", "other"),
    ],
)
def test_routes_with_a_common_prefix_have_their_own_limits(path, endpoint):
    limits = {"orders": "3/min", "health": "3/min", "other": "60/min"}
    assert ask(protection_with(prefix="/api/v1", limits=limits), path) == (200, endpoint)


def test_the_prefix_of_a_proxy_or_mount_is_ignored():
    """As in the router: limits, monitoring and private paths apply to the rest of the path."""
    protection = protection_with(
        limits={"orders": "3/min", "other": "60/min"},
        client_header="x-real-ip",
        trusted_networks=(ip_network("127.0.0.1"),),
        private=frozenset({"/metrics"}),
    )
    assert ask(protection, "/pay/orders/1", root="/pay") == (200, "orders")
    assert ask(protection, "/pay/../orders/1", root="/pay") == (200, "orders")
    assert ask(protection, "/orders/1", root="/pay") == (200, "orders")
    assert ask(protection, "/payorders/1", root="/pay") == (200, "other")
    assert ask(protection, "/pay/metrics", root="/pay") == (200, "")
    assert ask(protection, "/pay/metrics", (b"x-real-ip", b"192.0.2.1"), root="/pay") == (404, "")
