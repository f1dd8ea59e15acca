"""Real duels are stored one by one, resume where they were interrupted, and are shown with their uncertainty."""

from __future__ import annotations

import json
import subprocess

import pytest

from bench import duels, serving
from bench.tables import duels as tables
from loadproof.rundir.duel import DUEL, write_duel
from tests.planned import PLANNED


@pytest.fixture
def works(tmp_path, monkeypatch):
    """The work directory of duels, each of which ends at once with the given exit code."""
    monkeypatch.setattr(serving, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(duels, "WORK", tmp_path / "work")
    monkeypatch.setattr(duels, "in_time", lambda *_: "equivalent")
    asked: list[list[str]] = []

    def held(command, **_):
        asked.append(command[3:])
        if command[4] != "--resume":
            path = duels.WORK / duels.folder("equal") / f"duel-{len(asked)}"
            path.mkdir(parents=True)
            write_duel(path, PLANNED.model_copy(update={"kind": "aa", "changed": 0}))
            (path / "compare.json").write_text(json.dumps({"word": "equivalent", "rows": []}))
        return subprocess.CompletedProcess(command, codes.pop(0) if codes else 0)

    codes: list[int] = []
    monkeypatch.setattr(duels.subprocess, "run", held)
    return asked, codes


def test_only_the_requested_number_of_duels_is_played(works):
    """Each with its own seed."""
    asked, _ = works
    duels.main(2, ["equal"])
    duels.main(3, ["equal"])
    seeds = [command[command.index("--seed") + 1] for command in asked]
    assert seeds == ["1", "1001", "2001"]
    assert [result["word"] for result in serving.read_results("duels")["duels"]] == ["equivalent"] * 3
    assert not list(duels.WORK.rglob(DUEL))


def test_an_undecided_duel_is_resumed_next_time(works):
    """No new duel is started instead."""
    asked, codes = works
    codes += [130]
    duels.main(1, ["equal"])
    assert not serving.has_results("duels")
    duels.main(1, ["equal"])
    assert asked[1] == ["duel", "--resume", str(duels.WORK / "equal/duel-1")]
    assert len(serving.read_results("duels")["duels"]) == 1


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
