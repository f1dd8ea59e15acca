"""Probe, sampler and load use one HTTP client, which ignores environment variables meant for others."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pandas as pd
import pytest

from loadproof.run.target import embedded
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from payments_api.settings import VARIABLES
from tests.commands import in_process, only_run, scenario_file, verdict_of
from tests.loadproof.http.tls import new_certificate, tls_serving
from tests.servers import Heard, Script, read_request, serving

pytestmark = pytest.mark.process

PLAN = {
    "mix": {"health": {"share": "100 %", "every": "200 ms"}},
    "phases": [{"name": "steady", "duration": "3 s", "users": 4}],
    "thresholds": [{"expect": "goodput_ratio >= 1 %"}],
}
TARGET = "headers: {authorization: 'Bearer ${API_TOKEN}', host: pay.example.test}\n"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def misled(directory: Path, proxy: str) -> dict[str, str]:
    """Variables that make other clients use a proxy, log in, or trust other authorities."""
    netrc = directory / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\nmachine localhost login a password b\n")
    (directory / "bundle.pem").write_text("")
    elsewhere = dict.fromkeys(PROXIES, proxy) | {"NETRC": str(netrc), "HOME": str(directory), "NO_PROXY": ""}
    (directory / ".netrc").write_text(netrc.read_text())
    return elsewhere | dict.fromkeys(CA_VARIABLES, str(directory / "bundle.pem")) | {"API_TOKEN": "t0ken"}


def refusing(heard: list[bytes]) -> Script:
    """A proxy that refuses requests and notes them."""

    def script(connection: socket.socket, _: int) -> None:
        heard.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    return script


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_run_sends_to_the_target_only_and_always_the_same_way(tmp_path, scheme):
    """No proxy, no login from netrc; the same request head, from addresses that only its clients use."""
    heard, at_the_proxy = Heard(), []
    serving_it = serving if scheme == "http" else lambda script: tls_serving(new_certificate(tmp_path), script)
    with serving_it(heard.script) as url, serving(refusing(at_the_proxy)) as proxy:
        target = tmp_path / "target.yaml"
        target.write_text(f"base_url: {url}\n{TARGET}")
        plan = scenario_file(tmp_path, **PLAN)
        done = in_process("run", plan, "--target", target, "--out", tmp_path / "out", **misled(tmp_path, proxy))
    assert at_the_proxy == []
    path = only_run(tmp_path / "out")
    assert verdict_of(path)["ending"] == "completed", done.stdout + done.stderr
    assert heard.heads() == {b"host: pay.example.test\r\nauthorization: bearer t0ken\r\n\r\n"}
    assert len(pd.read_csv(path / files.TARGET)) >= 1
    (watcher,) = heard.addresses(b"/metrics")
    assert watcher in heard.addresses(b"/health")
    assert len(heard.addresses(b"/health")) == 1 + 4
    trusted = read_manifest(path).target.authorities
    assert trusted.get("file") == (f"{tmp_path}/pem.crt" if scheme == "https" else None)


def test_an_untrusted_certificate_is_reported_with_what_is_trusted(tmp_path, monkeypatch):
    """And with the one variable that changes that; the variable of requests has no effect."""
    with tls_serving(new_certificate(tmp_path), Heard().script) as url:
        monkeypatch.setenv("SSL_CERT_FILE", str(new_certificate_of_others(tmp_path)))
        done = in_process(
            "run", scenario_file(tmp_path, **PLAN), TARGET_URL=url, REQUESTS_CA_BUNDLE=f"{tmp_path}/pem.crt"
        )
    assert done.returncode == 2
    assert "no HTTP answer to GET /health: TLS: CERTIFICATE_VERIFY_FAILED" in done.stderr
    assert f"in SSL_CERT_FILE (trusted now: {tmp_path}/other/pem.crt" in done.stderr


def new_certificate_of_others(directory: Path) -> Path:
    other = directory / "other"
    other.mkdir()
    return Path(f"{new_certificate(other)}.crt")


@pytest.mark.parametrize(
    ("variable", "what"),
    [
        ("SSL_CERT_FILE", "no certificates can be read"),
        pytest.param("SSL_CERT_DIR", "no such", marks=pytest.mark.long),
    ],
)
def test_missing_authority_files_are_reported_before_the_run(tmp_path, variable, what):
    """OpenSSL would not report them, and trust no certificate."""
    arguments = ("check", scenario_file(tmp_path, **PLAN))
    done = in_process(*arguments, TARGET_URL="https://127.0.0.1:1", **{variable: str(tmp_path / "missing")})
    assert done.returncode == 2
    assert f"{variable}: {what}" in done.stderr


@pytest.mark.long
def test_faults_and_mutants_in_the_environment_are_reported_and_other_settings_ignored(tmp_path):
    """Other variables of the reference API were meant for something else, such as an address to listen on."""
    others = {"HOST": "nowhere.invalid", "DATABASE": str(tmp_path / "theirs.db"), "WORKERS": "nonsense"}
    wrong = {"FAULTS": json.dumps({"health": {"error_ratio": 1.0}}), "TARGET_MUTANT": "stale-cache"}
    done = in_process("run", scenario_file(tmp_path, **PLAN), "--dry-run", **wrong, **others)
    assert done.returncode == 1, done.stderr
    of_faults, of_mutant = done.stderr.splitlines()
    assert of_faults.startswith('note: FAULTS: the reference API fails on purpose, got \'{"health"')
    assert of_mutant.startswith("note: TARGET_MUTANT: the reference API breaks a promise on purpose, got 'stale-cache'")
    assert not (tmp_path / "theirs.db").exists()
    told = in_process("run", scenario_file(tmp_path, **PLAN), "--dry-run", **others)
    assert (told.returncode, told.stderr) == (0, "")


def test_only_the_scenario_decides_settings_of_the_reference_api():
    """Except faults and mutants, which are reported, and the key that remote workers have."""
    assert set(VARIABLES) - embedded.NOT_INHERITED == {"FAULTS", "TARGET_MUTANT", "WEBHOOK_SECRET"}
