"""Real searches for a known capacity: which are repeated, which count as failed, and what the page says of them."""

from __future__ import annotations

import json
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from bench import capacity, serving
from bench.rounds import REPEATS
from bench.tables import verdicts
from loadproof.analysis.capacity.capacity import Found
from loadproof.rundir.trials import CAPACITY

HALF = {"value": 205.0, "low": 195.0, "high": 215.0, "trials": 20}
NEVER = "it never ends"


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """Makes searches that end in these ways, and the others with a capacity; returns their seeds, and the page."""
    monkeypatch.setattr(serving, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(capacity, "slot_server", lambda: nullcontext("http://127.0.0.1"))

    def search(times: int, *ends: str) -> tuple[list[int], str]:
        left, seeds = list(ends), []

        def searched_once(command, **_):
            found = left.pop(0) if left else Found.FOUND
            seeds.append(int(command[-1]))
            if found == NEVER:
                raise subprocess.TimeoutExpired(command, capacity.LONGEST_S)
            content = {"found": found, "sentence": f"{found}.", "all_goals": {"half_of_trials": HALF}}
            file = Path(command[command.index("--out") + 1]) / "run" / CAPACITY
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(content))
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(capacity.subprocess, "run", searched_once)
        results = serving.read_results("capacity") if serving.has_results("capacity") else {}
        capacity.add_searches(results, times, 200.0)
        return seeds, verdicts.capacity_real()

    return search


@pytest.mark.parametrize("end", [Found.INVALID, Found.UNFINISHED, NEVER])
def test_a_search_that_measured_nothing_is_repeated_and_is_no_failure(searched, end):
    """Each repeat is counted, in several sittings, too."""
    assert searched(1, end)[0] == [1, 1]
    seeds, page = searched(1, end)
    assert seeds == [2, 2]
    assert "Repeated because a round could not be measured: loadproof capacity 2 ×." in page
    assert "covered in 2 of 2" in page
    assert "found nothing" not in page


def test_a_search_that_is_never_measured_is_left_out(searched):
    """The others are made, and the page counts it."""
    _, page = searched(2, *[Found.INVALID] * (REPEATS + 1))
    assert "Left out after 3 repeats each: loadproof capacity 1 ×." in page
    assert "covered in 1 of 1" in page
    assert "found nothing" not in page


@pytest.mark.parametrize("end", [Found.TOO_LOW, Found.TOO_HIGH, Found.ROUGH, Found.DIED])
def test_a_valid_search_that_finds_nothing_is_not_repeated(searched, end):
    """It counts as failed, and the next one has another seed."""
    seeds, page = searched(2, end)
    assert seeds == [1, 2]
    assert page.endswith("Found: 205.0 (195.0 to 215.0). 1 more found nothing.")
    assert "Repeated" not in page
