"""A retry storm keeps the reference API down after its trigger is gone, and the report says so."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.commands import loadproof, only_run, verdict_of, word_of
from tests.quiet import TRIES, run_when_quiet

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.quiet, pytest.mark.timeout(TRIES * 180)]


def test_a_retry_storm_outlives_its_trigger(tmp_path):
    """The capacity is a setting of the target, the same on each machine."""
    tries = itertools.count()

    def run_once() -> Path:
        out = tmp_path / str(next(tries))
        loadproof("run", "scenarios/metastable.yaml", "--out", out)
        return only_run(out)

    run = run_when_quiet(run_once)
    (recovery,) = verdict_of(run)["degradation"]["recoveries"]
    assert word_of(run, "recovery <= 20 s") == "FAIL"
    assert recovery["took_s"] is None
    assert recovery["aftermath"]["goodput_rps"] < 0.1 * recovery["aftermath"]["goodput_before_rps"]
    assert recovery["aftermath"]["retried_ratio"] > 0.8
    assert "not back to normal within 31 s (metastable); goodput was" in (run / "report.html").read_text()
