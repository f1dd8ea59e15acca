"""A retry storm keeps the reference API down after its trigger is gone, and the report says so."""

from __future__ import annotations

import pytest

from tests.commands import loadproof, only_run, verdict_of, word_of

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.quiet]


def test_a_retry_storm_outlives_its_trigger(tmp_path):
    """On any machine: the capacity is a setting of the target."""
    loadproof("run", "scenarios/metastable.yaml", "--out", tmp_path)
    run = only_run(tmp_path)
    (recovery,) = verdict_of(run)["degradation"]["recoveries"]
    assert word_of(run, "recovery <= 20 s") == "FAIL"
    assert recovery["took_s"] is None
    assert recovery["aftermath"]["goodput_rps"] < 0.1 * recovery["aftermath"]["goodput_before_rps"]
    assert recovery["aftermath"]["retried_ratio"] > 0.8
    assert "not back to normal within 31 s (metastable); goodput was" in (run / "report.html").read_text()
