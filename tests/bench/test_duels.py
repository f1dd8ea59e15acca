"""Real duels are stored one by one, resume where they were interrupted, and are shown with their uncertainty."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bench import duels, serving
from bench.rounds import REPEATS
from bench.tables import duels as tables
from loadproof.rundir.duel import DUEL, write_duel
from tests.planned import PLANNED


@pytest.fixture
def works(tmp_path, monkeypatch):
    """What was asked of duels, each of which ends at once, with the given exit code and ending; None never ends."""
    monkeypatch.setattr(serving, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(duels, "WORK", tmp_path / "work")
    monkeypatch.setattr(duels, "in_time", lambda *_: "equivalent")
    asked: list[list[str]] = []

    def held(command, **_):
        asked.append(command[3:])
        code, ending = ends.pop(0) if ends else (0, "decided")
        resumed = command[4] == "--resume"
        path = Path(command[5]) if resumed else Path(command[-1]) / f"duel-{len(asked)}"
        path.mkdir(parents=True, exist_ok=True)
        write_duel(path, PLANNED.model_copy(update={"kind": "aa", "changed": 0, "ending": ending}))
        if ending == "decided":
            (path / "compare.json").write_text(json.dumps({"word": "equivalent", "rows": []}))
        if code is None:
            raise subprocess.TimeoutExpired(command, duels.LONGEST_S)
        return subprocess.CompletedProcess(command, code)

    ends: list[tuple[int | None, str]] = []
    monkeypatch.setattr(duels.subprocess, "run", held)
    return asked, ends


def test_only_the_requested_number_of_duels_is_played(works):
    """Each with its own seed."""
    asked, _ = works
    duels.main(2, ["equal"])
    duels.main(3, ["equal"])
    seeds = [command[command.index("--seed") + 1] for command in asked]
    assert seeds == ["1", "1001", "2001"]
    assert [result["word"] for result in serving.read_results("duels")["duels"]] == ["equivalent"] * 3
    assert not list(duels.WORK.rglob(DUEL))


INVALID = (4, "unmeasured")


@pytest.mark.parametrize("end", [INVALID, (1, "died"), (143, "terminated"), (None, "running")])
def test_an_undecided_duel_is_resumed_at_once(works, end):
    """And counted beside the results."""
    asked, ends = works
    ends += [end]
    duels.main(1, ["equal"])
    assert asked[1] == ["duel", "--resume", str(duels.WORK / "equal/duel-1")]
    assert [result["word"] for result in serving.read_results("duels")["duels"]] == ["equivalent"]
    assert serving.read_results("duels")["repeated"] == {"equal": 1}
    assert "Repeated because a round could not be measured: equal 1 ×." in tables.duels()


def test_a_duel_that_stays_undecided_stops_no_others_and_goes_on_next_time(works):
    """No new duel is started instead."""
    asked, ends = works
    ends += [INVALID] * (REPEATS + 1)
    duels.main(1, ["equal", "10 % slower"])
    assert [result["case"] for result in serving.read_results("duels")["duels"]] == ["10 % slower"]
    assert serving.read_results("duels")["left_out"] == {"equal": 1}
    duels.main(1, ["equal"])
    assert asked[-1] == ["duel", "--resume", str(duels.WORK / "equal/duel-1")]
    assert len(serving.read_results("duels")["duels"]) == 2


def test_a_slower_release_is_the_same_one_with_a_longer_delay(works):
    """Equal releases are a duel of a release with itself."""
    equal, slower = duels.arguments("equal", 1), duels.arguments("10 % slower", 1)
    assert "--aa" in equal
    assert '"delay_ms": 20' in slower[slower.index("--baseline") + 1]
    assert '"delay_ms": 22' in slower[slower.index("--candidate") + 1]


def test_results_are_shown_with_their_intervals(works):
    """Cases that haven't been measured are shown as such."""
    assert tables.duels() == "Not measured yet."
    duels.main(4, ["equal"])
    text = tables.duels()
    assert "| equal | 4 | 0.0 % (0.0 to 60.2) | 0.0 % (0.0 to 60.2) | 100.0 % (39.8 to 100.0) |" in text
    assert "| 10 % slower | 0 | not measured |" in text
    assert "0 of 4 found a change" in text
