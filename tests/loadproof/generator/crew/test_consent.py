"""What a worker's owner must allow: proxies and other hosts, and files that would identify the machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from loadproof.generator.crew.consent import refusals
from loadproof.rundir.manifest import read_manifest
from loadproof.scenario.target.way import TlsSettings
from simulation.rundirs import write_run
from tests.loadproof.http.tls import new_certificate

PROXY = "http://${PROXY_USER}:${PROXY_PASSWORD}@proxy.example.test:3128"


@pytest.fixture
def manifest(tmp_path):
    return read_manifest(write_run(tmp_path / "run"))


@pytest.fixture
def short_path():
    """A path short enough to be shown in full."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def told(manifest, **changes: object) -> list[str]:
    target = manifest.target.model_copy(update={"base_url": "https://127.0.0.1:1", **changes})
    return [str(problem) for problem in refusals(manifest.model_copy(update={"target": target}))]


@pytest.mark.process
def test_a_workers_key_is_not_used_unless_its_owner_agrees(manifest, short_path, monkeypatch):
    """Nor read; if they agree, it has to exist and match."""
    new_certificate(short_path)
    crt, key = f"{short_path}/pem.crt", f"{short_path}/pem"
    ours = TlsSettings(ca_file=crt, client_certificate=crt, client_key=key)
    assert told(manifest, tls=ours) == [
        f"target tls.{name}: the worker may not use this file, got '{path}'; "
        f"if the target may be shown that this worker has it, start it with --allow-file {path}"
        for name, path in (("client_certificate", crt), ("client_key", key))
    ]
    missing = f"{short_path}/none.pem"
    monkeypatch.setenv("LOADPROOF_ALLOW_FILES", f"{crt},{key},{missing}")
    assert told(manifest, tls=ours) == []
    (problem,) = told(manifest, tls=TlsSettings(ca_file=missing))
    assert problem.startswith("target tls.ca_file on the worker: can't be read: No such file or directory, got '")
    assert "tls.client_certificate on the worker" in told(manifest, tls=TlsSettings(client_certificate=missing))[0]


def test_a_proxy_and_its_credentials_need_permission_like_a_target_and_its_own(manifest, monkeypatch):
    """From the worker's owner, whatever the master was allowed."""
    monkeypatch.setenv("PROXY_USER", "ada")
    monkeypatch.setenv("LOADPROOF_ALLOW_VARIABLES", "PROXY_USER,PROXY_PASSWORD")
    host, unset = told(manifest, proxy=PROXY)
    assert host.startswith("target proxy: this host is not on the allow list, got 'proxy.example.test'")
    assert unset == "target proxy: the worker's environment variable PROXY_PASSWORD is not set; set it there"
    monkeypatch.setenv("LOADPROOF_ALLOW_VARIABLES", "PROXY_USER")
    monkeypatch.setenv("LOADPROOF_ALLOW_HOSTS", "proxy.example.test")
    (variable,) = told(manifest, proxy=PROXY)
    assert variable.startswith("target proxy: the worker may not read this environment variable, got 'PROXY_PASSWORD'")
