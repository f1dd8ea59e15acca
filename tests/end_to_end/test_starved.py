"""A generator that can't run reports it, on any machine."""

from __future__ import annotations

import pytest

from bench.starvation import EXPERIMENTS, is_right, perform

pytestmark = [pytest.mark.process, pytest.mark.long]


def test_a_stalled_generator_is_invalid():
    """`make bench-starvation` does this and similar things 20 times."""
    experiment = EXPERIMENTS["generator stopped for 2 s"]
    verdict = perform(experiment)
    assert is_right(experiment, verdict), verdict["reason"]
    invalid = [finding["what"] for finding in verdict["findings"] if finding["word"] == "INVALID"]
    assert any("event loop stalled" in what for what in invalid), invalid
