"""Connections that a machine doesn't allow are reported before the run."""

from __future__ import annotations

import resource

import pytest

from loadproof.run.machine import openfiles
from loadproof.run.machine.openfiles import allow_open_files, connections_needed, open_file_problems
from simulation.rundirs import open_scenario, scenario
from tests.commands import ROOT, in_process


def test_a_plan_needs_a_connection_per_client_and_in_the_open_model_per_request_in_flight():
    """An upper bound."""
    assert connections_needed(scenario()) == 100
    assert connections_needed(open_scenario(max_in_flight=700)) == 750


@pytest.mark.parametrize(("allowed", "code"), [(849, 2), (850, 0)])
def test_too_low_a_limit_of_open_files_is_reported_before_the_run(tmp_path, monkeypatch, allowed, code):
    """With the number that is needed, and how to raise the limit."""
    file = tmp_path / "many.yaml"
    file.write_text((ROOT / "scenarios/smoke.yaml").read_text().replace("users: 10", "users: 750"))
    # Simulated, because a lowered hard limit can't be raised again.
    limits = resource.getrlimit
    monkeypatch.setattr(
        resource, "getrlimit", lambda of: (allowed, allowed) if of == resource.RLIMIT_NOFILE else limits(of)
    )
    done = in_process("check", file, "--set", "expect_throttling=true")
    assert done.returncode == code, done.stderr
    if code:
        assert "needs 850 open files" in done.stderr
        assert "ulimit -Hn 850" in done.stderr


def test_the_soft_limit_is_raised_as_far_as_the_system_allows():
    """And never lowered."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
        allow_open_files(100)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
        allow_open_files(400)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 500
        allow_open_files(10**9)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_single_address_has_a_limited_number_of_ports(tmp_path, monkeypatch):
    """Many addresses have no such limit."""
    ports = tmp_path / "range"
    ports.write_text("40000\t40499\n")
    monkeypatch.setattr(openfiles, "_PORT_RANGE", ports)
    shared = open_scenario(clients="shared", max_in_flight=460)
    (problem,) = open_file_problems(shared, processes=1, where="x.yaml")
    assert "510 connections from one address" in problem.what
    assert list(open_file_problems(open_scenario(max_in_flight=460), processes=1, where="x.yaml")) == []
    monkeypatch.setattr(openfiles, "_PORT_RANGE", tmp_path / "none")
    assert openfiles.local_ports() == 16_384


@pytest.mark.parametrize(
    ("reuse", "host", "clients", "told"),
    [
        ("0", "127.0.0.1", "shared", "up to 1,500 ports (a closed port stays in use for 60 s)"),
        ("2", "192.0.2.1", "shared", "up to 1,500 ports (a closed port stays in use for 60 s)"),
        ("2", "127.0.0.1", "shared", "up to 100 ports (a closed port stays in use for 1 s)"),
        ("1", "192.0.2.1", "shared", "up to 100 ports (a closed port stays in use for 1 s)"),
        ("0", "127.0.0.1", "source-address", "up to 30 ports for each of 50 client addresses (a closed port stays"),
    ],
)
def test_a_target_that_closes_each_connection_uses_up_ports(tmp_path, monkeypatch, reuse, host, clients, told):
    """A port stays taken for a minute after its connection, unless the system allows reusing it."""
    for name, content in (("_PORT_RANGE", "40000\t40499\n"), ("_REUSE", f"{reuse}\n")):
        (tmp_path / name).write_text(content)
        monkeypatch.setattr(openfiles, name, tmp_path / name)
    problem = openfiles.closing_problem(open_scenario(clients=clients), f"http://{host}:80")
    assert told in problem.what
    assert ("this machine has 500, which is too few" in problem.what) == ("1,500" in told)
