"""Another API, with other paths, methods, fields, authentication and signature, and no Python needed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.rundir.manifest import read_manifest
from tests.commands import ROOT, in_process, only_run, word_of
from tests.other_api import SIGNING_KEY, TOKEN, running_other_api

EXAMPLE = ROOT / "docs/examples/fly-app.yaml"
SECRETS = {"PAYMENTS_TOKEN": TOKEN, "STRIPE_WEBHOOK_SECRET": SIGNING_KEY}

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def other_api() -> Iterator[str]:
    with running_other_api() as url:
        yield url


def command(name: str, *arguments: object, url: str, secrets: dict[str, str] = SECRETS):
    return in_process(name, "scenarios/smoke.yaml", "--target", EXAMPLE, *arguments, TARGET_URL=url, **secrets)


def test_check_shows_the_load_and_its_target(other_api):
    """Address, rate, total and clients; nothing is sent."""
    done = command("check", url=other_api)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert f"45 tasks of one or more requests in 10 s to {other_api}, up to " in told
    assert "from 10 clients (closed model, clients by source-address)" in told


@pytest.mark.long
@pytest.mark.parametrize("name", ["check", "run"])
def test_a_dry_run_sends_one_request_of_each_kind_and_shows_the_answers(other_api, name, tmp_path):
    """As the target file describes them, with the outcome of each."""
    done = command(name, "--dry-run", url=other_api)
    assert done.returncode == 0, done.stdout + done.stderr
    for request in ("GET /v1/accounts/acc_1001/balance → 200", "POST /v1/payments → 201", "GET /v1/payments/"):
        assert request in done.stdout
    assert "POST /hooks/stripe → 200" in done.stdout
    assert '{"status":"up"}' in done.stdout
    assert TOKEN not in done.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("secrets", "told"),
    [
        ({"PAYMENTS_TOKEN": "wrong", "STRIPE_WEBHOOK_SECRET": SIGNING_KEY}, "rejected"),
        ({"PAYMENTS_TOKEN": TOKEN, "STRIPE_WEBHOOK_SECRET": "whsec_wrong"}, "webhooks: status 400"),
    ],
)
def test_a_dry_run_shows_what_is_wrong(other_api, secrets, told):
    """With exit code 1, before any load."""
    done = command("run", "--dry-run", url=other_api, secrets=secrets)
    assert done.returncode == 1
    assert told in done.stdout


def test_missing_secrets_are_reported_before_anything_is_sent(other_api):
    """All of them."""
    done = command("run", url=other_api, secrets={})
    assert done.returncode == 2
    assert "PAYMENTS_TOKEN is not set" in done.stderr
    assert "STRIPE_WEBHOOK_SECRET is not set" in done.stderr


def test_a_remote_host_is_refused_until_it_is_allowed():
    """The host in the example."""
    done = in_process("run", "scenarios/smoke.yaml", "--target", EXAMPLE, "--dry-run", **SECRETS)
    assert done.returncode == 2
    assert "not on the allow list" in done.stderr


@pytest.mark.long
def test_a_wrong_field_name_is_reported_before_any_load(other_api, tmp_path):
    """Checks use the target's field names, too: here one that it doesn't have."""
    wrong = tmp_path / "wrong.yaml"
    text = EXAMPLE.read_text().replace("balance: available.amount", "balance: available.total")
    wrong.write_text(text.replace("accounts.csv", str(EXAMPLE.with_name("accounts.csv"))))
    arguments = ("scenarios/smoke.yaml", "--target", wrong, "--dry-run")
    done = in_process("run", *arguments, TARGET_URL=other_api, **SECRETS)
    assert done.returncode == 1
    assert re.search(r"^ *invalid +balance ", done.stdout, re.MULTILINE), done.stdout


def test_a_run_against_another_api_is_correct_and_keeps_no_secret(other_api, tmp_path):
    """Every check works with its names; the manifest has only the names of variables."""
    options = ("--target", EXAMPLE, "--set", "phases.smoke.duration=5 s", "--set", "mix.balance.every=500 ms")
    done = in_process("run", "scenarios/smoke.yaml", *options, "--out", tmp_path, TARGET_URL=other_api, **SECRETS)
    run = only_run(tmp_path)
    assert word_of(run, "goodput_ratio >= 90 %") == "PASS", done.stdout + done.stderr
    counts = tally(load_run(run).intervals)
    assert counts.outcomes["ok"] == counts.sent > 30
    assert set(load_run(run).intervals["endpoint"]) == {"balance", "transactions", "health", "webhooks"}
    assert read_manifest(run).target.headers["Authorization"] == "Bearer ${PAYMENTS_TOKEN}"
    for file in run.iterdir():
        assert TOKEN.encode() not in file.read_bytes()
        assert SIGNING_KEY.encode() not in file.read_bytes()
