"""Users throttled by the real target: they react as the scenario says, and record what Retry-After promised."""

from __future__ import annotations

import json

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import Run, load_run
from loadproof.rundir.rows import RETRY_BROKEN, RETRY_KEPT
from tests.commands import code_of, in_process, only_run, scenario_file, verdict_of

pytestmark = pytest.mark.process

THROTTLED = {
    "expect_throttling": True,
    "mix": {"balance": {"share": "50 %", "every": "200 ms"}, "health": {"share": "50 %", "every": "200 ms"}},
    "thresholds": [{"expect": "goodput_ratio >= 1 %"}],
}
FEW = {"limits": {"health": "5/min", "balance": "5/min"}}


def run(tmp_path, faults: dict[str, object] | None = None, **changes: object) -> Run:
    """A run in which no request failed."""
    file = scenario_file(tmp_path, **THROTTLED, **changes)
    done = in_process("run", file, "--out", tmp_path / "out", FAULTS=json.dumps(faults or {}))
    seen = load_run(only_run(tmp_path / "out"))
    assert done.returncode == code_of(seen.path), done.stdout + done.stderr
    counts = tally(seen.intervals)
    assert counts.outcomes["ok"] + counts.outcomes["throttled"] == counts.sent, done.stdout
    return seen


@pytest.mark.long
def test_users_that_honour_retry_after_wait_and_check_it(tmp_path):
    """At three per second, requests pass after a second; at five per minute they don't, whatever Retry-After says."""
    seen = run(
        tmp_path,
        faults={"health": {"retry_after_s": 1}},
        settings={"limits": {"balance": "3/s", "health": "5/min"}},
        clients="shared",
        when_throttled="honour",
        phases=[{"name": "steady", "duration": "6 s", "users": 4}],
    )
    counts = seen.intervals.groupby(["endpoint", "series"], observed=True)["count"].sum()
    assert counts["balance", RETRY_KEPT] > 1
    assert counts.get(("balance", RETRY_BROKEN), 0) == 0
    assert counts["health", RETRY_BROKEN] > 1
    assert counts.get(("health", RETRY_KEPT), 0) == 0
    # Two users, sending five times a second if they did not wait.
    assert tally(seen.intervals[seen.intervals["endpoint"] == "health"]).sent < 30
    verdict = verdict_of(seen.path)
    assert verdict["degradation"]["shedding"]["graceful"] is False
    assert any("were refused again after Retry-After" in finding["what"] for finding in verdict["findings"])


@pytest.mark.long
def test_users_that_ignore_throttling_keep_sending(tmp_path):
    """Of twenty users, each gets five requests through."""
    seen = run(
        tmp_path, settings=FEW, when_throttled="ignore", phases=[{"name": "steady", "duration": "3 s", "users": 20}]
    )
    assert tally(seen.intervals).outcomes["throttled"] > 100


@pytest.mark.long
def test_users_that_stop_are_throttled_once(tmp_path):
    """And send no more."""
    seen = run(
        tmp_path, settings=FEW, when_throttled="stop", phases=[{"name": "steady", "duration": "3 s", "users": 20}]
    )
    counts = tally(seen.intervals)
    assert counts.outcomes["throttled"] == 20
    assert counts.outcomes["ok"] == 5 * 20


@pytest.mark.long
def test_users_that_stopped_are_not_replaced_when_more_come(tmp_path):
    """Each of the twenty is refused once."""
    phases = [{"name": "few", "duration": "3 s", "users": 10}, {"name": "more", "duration": "3 s", "users": 20}]
    counts = tally(run(tmp_path, settings=FEW, when_throttled="stop", phases=phases).intervals)
    assert counts.outcomes["throttled"] == 20
    assert counts.outcomes["ok"] == 5 * 20
