"""Probe, sampler, dry run and load reach a target the same way, and keep its credentials to themselves."""

from __future__ import annotations

import base64
import gzip
import json
import socket
from pathlib import Path

import pandas as pd
import pytest
import yaml

from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from tests import proxies
from tests.commands import in_process, only_run, scenario_file, verdict_of
from tests.loadproof.http.tls import new_certificate, server_context, untrusted_serving
from tests.servers import Heard, read_request, serving

pytestmark = pytest.mark.process

NAME = "api.example.test"
PLAN = {
    "mix": {"health": {"share": "100 %", "every": "100 ms"}},
    "clients": "shared",
    "phases": [{"name": "steady", "duration": "3 s", "users": 4}],
    "thresholds": [{"expect": "goodput_ratio >= 1 %"}],
}
CREDENTIALS = {"PROXY_USER": "c4nary-us3r", "PROXY_PASSWORD": "c4nary-p4ss"}
AUTHORIZATION = f"Basic {base64.b64encode(b'c4nary-us3r:c4nary-p4ss').decode()}"
PROXY = "http://${PROXY_USER}:${PROXY_PASSWORD}@"


def pair(directory: Path, name: str) -> Path:
    """A certificate and key of our own in a folder of this name."""
    (directory / name).mkdir()
    return new_certificate(directory / name, NAME)


def target_file(directory: Path, **content: object) -> Path:
    file = directory / "target.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def sightings(text: bytes, *secrets: bytes) -> list[bytes]:
    """Occurrences of secrets, also of large parts of them in base64 at each of its three alignments."""
    parts = [base64.b64encode(b" " * before + secret)[8:16] for secret in secrets for before in range(3)]
    return [secret for secret in (*secrets, *parts) if secret in text]


@pytest.mark.long
@pytest.mark.parametrize(("workers", "verify"), [(1, True), (2, False)])
def test_all_requests_to_the_target_go_the_same_way(tmp_path, workers, verify):
    """Through a tunnel, with proxy credentials, to a server of another name; no key and no password is left behind."""
    server, client = pair(tmp_path, "server"), pair(tmp_path, "client")
    context = server_context(server, clients=client)
    heard, proxy, names = Heard(), proxies.Proxy(AUTHORIZATION), []
    context.sni_callback = lambda _, name, __: names.append(name)
    with untrusted_serving(server, heard.script, context) as url, serving(proxy.script) as proxy_url:
        file = target_file(
            tmp_path,
            base_url=url,
            headers={"Host": "virtual.example.test"},
            tls={
                **({"ca_file": "server/pem.crt"} if verify else {"verify": False}),
                "client_certificate": "client/pem.crt",
                "client_key": "client/pem",
                "server_name": NAME,
            },
            proxy=proxy_url.replace("http://", PROXY),
        )
        arguments = ("run", scenario_file(tmp_path, **PLAN), "--target", file, "--workers", workers)
        look = in_process(*arguments, "--dry-run", **CREDENTIALS)
        asked_by_look = len(proxy.heads)
        done = in_process(*arguments, "--out", tmp_path / "out", **CREDENTIALS)
    assert look.returncode == 0, look.stderr
    path = only_run(tmp_path / "out")
    verdict = verdict_of(path)
    assert verdict["ending"] == "completed", done.stdout + done.stderr
    # Turns may be missed on a busy machine.
    assert set(pd.read_csv(path / files.INTERVALS)["outcome"].dropna()) - {"missed"} == {"ok"}
    assert heard.heads() == {b"host: virtual.example.test\r\n\r\n"}
    assert heard.addresses(b"/metrics")
    assert len(pd.read_csv(path / files.TARGET)) >= 1
    assert set(names) == {NAME}
    authority = url.removeprefix("https://")
    connect = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {AUTHORIZATION}"
    assert set(proxy.heads) == {connect}
    # Each of probe, sampler and users has its own connection.
    assert len(proxy.heads) == asked_by_look + 1 + 1 + 4
    target = read_manifest(path).target
    assert target.authorities == ({"file": f"{server}.crt"} if verify else {})
    assert verify == ("the server's certificate was not verified" not in json.dumps(verdict["findings"]))
    assert target.tls.client_key == str(client)
    assert target.proxy == proxy_url.replace("http://", PROXY)
    secrets = (*map(str.encode, CREDENTIALS.values()), client.read_bytes().splitlines()[1])
    left = {file.name: file.read_bytes() for file in path.iterdir()}
    left[files.INTERVALS] = gzip.decompress(left[files.INTERVALS])
    left["shown"] = (done.stdout + done.stderr + look.stdout + look.stderr).encode()
    assert {name: found for name, text in left.items() if (found := sightings(text, *secrets))} == {}
    page = (path / "report.html").read_text()
    assert (f"{server}.crt" if verify else "nothing (verify: false)") in page
    assert f"{client}.crt" in page


@pytest.mark.long
def test_credentials_that_a_proxy_shows_are_masked(tmp_path):
    """And its refusal is reported as the proxy's, before the run."""

    def refusing(connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            body = json.dumps({"status": request.decode("latin-1")}).encode()
            status = b"200 OK" if b"/health" in request else b"407 No"
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    with serving(refusing) as proxy_url:
        file = target_file(tmp_path, base_url="http://127.0.0.1:1", proxy=proxy_url.replace("http://", PROXY))
        plan = scenario_file(tmp_path, **PLAN)
        look = in_process("run", plan, "--target", file, "--dry-run", **CREDENTIALS)
        file.write_text(f"{file.read_text()}endpoints: {{health: {{path: /}}}}\n")
        done = in_process("run", plan, "--target", file, **CREDENTIALS)
    assert "PROXY_" in look.stdout
    assert done.returncode == 2
    assert "the proxy answers GET / with 407; give it user and password" in done.stderr
    shown = (look.stdout + look.stderr + done.stdout + done.stderr).encode()
    assert sightings(shown, *map(str.encode, CREDENTIALS.values())) == []


def test_a_proxy_that_is_not_allowed_gets_nothing(tmp_path):
    """Its name isn't even resolved."""
    file = target_file(tmp_path, base_url="http://127.0.0.1:1", proxy="http://proxy.example.test:3128")
    for command in (("run",), ("check", "--dry-run")):
        done = in_process(command[0], scenario_file(tmp_path, **PLAN), *command[1:], "--target", file)
        assert done.returncode == 2
        assert "target proxy: this host is not on the allow list, got 'proxy.example.test'" in done.stderr
        assert "--allow-host proxy.example.test" in done.stderr


def test_clients_behind_a_proxy_have_no_separate_addresses(tmp_path):
    """Asking for them is refused; by default clients are shared, with a note."""
    file = target_file(tmp_path, base_url="http://127.0.0.1:1", proxy="http://127.0.0.1:2")
    asked_for = scenario_file(tmp_path, **PLAN | {"clients": "source-address"})
    done = in_process("check", asked_for, "--target", file)
    assert done.returncode == 2
    assert "clients: behind a proxy, clients' source addresses are the proxy's; use `clients: {header" in done.stderr
    unsaid = scenario_file(tmp_path, **{key: value for key, value in PLAN.items() if key != "clients"})
    done = in_process("check", unsaid, "--target", file)
    assert done.returncode == 0, done.stderr
    assert "all users share one client address (a proxy is in between)" in done.stderr


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        (
            {"ca_file": "other/pem.crt", "server_name": NAME},
            "in `tls.ca_file` of the target file, or in SSL_CERT_FILE (",
        ),
        pytest.param(
            {"ca_file": "server/pem.crt"},
            "or name the one that the certificate has in `tls.server_name`",
            marks=pytest.mark.long,
        ),
        (
            {"verify": False},
            "if it asks for a client certificate, name one that it accepts in `tls.client_certificate`",
        ),
    ],
)
def test_missing_tls_settings_are_reported_before_the_run(tmp_path, tls, told):
    """With the key that would help."""
    server, other = pair(tmp_path, "server"), pair(tmp_path, "other")
    with untrusted_serving(server, Heard().script, server_context(server, clients=other)) as url:
        file = target_file(tmp_path, base_url=url, tls=tls)
        done = in_process("run", scenario_file(tmp_path, **PLAN), "--target", file)
    assert done.returncode == 2
    assert told in done.stderr


def test_the_web_ui_refuses_target_settings_that_its_users_ignore(tmp_path):
    """They only get the base URL."""
    file = target_file(tmp_path, base_url="https://127.0.0.1:1", tls={"verify": False}, headers={"X-Own": "1"})
    # This port could not be served anyway.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = in_process("ui", "--target", file, "--port", taken.getsockname()[1])
    assert done.returncode == 2
    assert "--target: plain Locust users only take the base URL from it, not `headers` and `tls`" in done.stderr


KINDS = """
from geventhttpclient.client import HTTPClientPool
from locust import FastHttpUser, HttpUser, User, task
from locust.clients import HttpSession
from loadproof import HttpUser as Fast

class Ours(Fast):
    @task
    def buy(self):
        self.client.get(f"/{type(self).__name__}")

class Locusts(HttpUser):
    tasks = [Ours.buy]

class Quick(FastHttpUser):
    tasks = [Ours.buy]
"""
MORE = """
class Pooling(FastHttpUser):
    client_pool = HTTPClientPool()
    tasks = [Ours.buy]

class Own(User):
    tasks = [Ours.buy]
"""
LOAD = ("--users", 5, "--duration", "5s", "--expect", "goodput_ratio >= 50 %")


@pytest.mark.long
def test_users_whose_clients_cannot_apply_the_target_file_are_refused(tmp_path):
    """By name, with the keys that their own client can't apply."""
    users = tmp_path / "users.py"
    users.write_text(KINDS + MORE)
    tls = {"verify": False, "server_name": NAME}
    file = target_file(
        tmp_path, base_url="https://127.0.0.1:1", tls=tls, proxy="http://127.0.0.1:2", headers={"X": "y"}
    )
    done = in_process("run", "--locustfile", users, "--target", file, *LOAD, "--out", tmp_path / "out")
    assert done.returncode == 2
    told = {
        "Locusts": "HttpUser, which doesn't support `tls.server_name`",
        "Pooling": "a client_pool of its own, which doesn't support `tls.verify`, `tls.",
        "Own": "a client of its own, which doesn't support `headers.X`, `tls.verify`",
    }
    for line, (name, by) in zip(done.stderr.splitlines(), told.items(), strict=True):
        assert line.startswith(f"users.py: `{name}` uses {by}")
        assert line.endswith("; use `from loadproof import HttpUser`, or leave that out of the target file")


@pytest.mark.long
def test_each_client_of_a_locustfile_applies_the_target_file(tmp_path):
    """Here in a dry run: through the proxy, with a header and a password; also a client that the file creates."""
    users, heard, proxy = tmp_path / "users.py", Heard(), proxies.Proxy(AUTHORIZATION)
    made = """
class Making(HttpUser):
    @task
    def buy(self):
        HttpSession(self.host, self.environment.events.request, self).get("/Making")
"""
    users.write_text(KINDS + made)
    with serving(heard.script) as url, serving(proxy.script) as proxy_url:
        file = target_file(
            tmp_path,
            base_url=url,
            headers={"X-Key": "${PROXY_USER}"},
            auth={"basic": {"user": "u", "password": "PROXY_PASSWORD"}},
            proxy=proxy_url.replace("http://", PROXY),
        )
        done = in_process("run", "--locustfile", users, "--target", file, *LOAD, "--dry-run", **CREDENTIALS)
    assert done.returncode == 0, done.stdout + done.stderr
    basic = base64.b64encode(b"u:c4nary-p4ss")
    sent = {
        request.split(b" ")[1] for _, request in heard.requests if b"X-Key: c4nary-us3r" in request and basic in request
    }
    assert sent >= {b"/Ours", b"/Locusts", b"/Quick", b"/Making"}
    assert all(f"Proxy-Authorization: {AUTHORIZATION}" in head for head in proxy.heads)
    assert len(proxy.heads) == len(heard.requests)
    assert sightings((done.stdout + done.stderr).encode(), *map(str.encode, CREDENTIALS.values())) == []
