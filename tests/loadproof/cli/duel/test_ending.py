"""How a duel ends that no look has decided."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from loadproof.cli.console.policy import Policy
from loadproof.cli.duel import ending as of_duel
from loadproof.cli.duel.ending import conclude
from loadproof.errors import ExitCode, OutputError, Problem
from loadproof.rundir import files
from loadproof.rundir.duel import Duel, DuelRun
from simulation.releases import plan_of_releases, release
from tests.planned import PLANNED
from tests.servers import webhook


def ended(ending: str, side: str = "candidate", runs: int = 3) -> Duel:
    """A duel with this many runs of each side that count, and one that doesn't."""
    made = [DuelRun(run=f"{turn.side}/{at}", side=turn.side, block=turn.block) for at, turn in enumerate(PLANNED.turns)]
    lost = DuelRun(run=f"{side}/lost", side=side, block=1, invalid="lost")
    return PLANNED.model_copy(update={"ending": ending, "reason": "it ended", "runs": (*made[: 2 * runs], lost)})


@pytest.fixture(scope="module")
def sides():
    """Three runs of each; the candidate takes 30 % longer, and a threshold allows 2 %."""
    random, plan = np.random.default_rng(1), plan_of_releases("p(95) <= 1.02 * baseline")
    return release(random, 3, plan=plan, step=2), release(random, 3, plan=plan, slower=0.3, first=1, step=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "side", "code", "word"),
    [
        ("interrupted", "candidate", ExitCode.INTERRUPTED, "INCONCLUSIVE"),
        ("terminated", "candidate", ExitCode.TERMINATED, "INCONCLUSIVE"),
        ("unmeasured", "candidate", ExitCode.INVALID, "INVALID"),
        ("died", "baseline", ExitCode.INVALID, "INVALID"),
        ("died", "candidate", ExitCode.FAIL, "FAIL"),
    ],
)
def test_nothing_but_its_ending_decides_a_duel_between_looks(tmp_path, sides, ending, side, code, word):
    """However large a difference is, and whatever a threshold on the baseline allows."""
    assert conclude(tmp_path, ended(ending, side), None, sides, Policy("fail", None)) is code
    content = json.loads((tmp_path / "compare.json").read_text())
    assert (content["verdict"], content["thresholds"]) == (word, [])
    assert content["reason"].endswith("not decided at any look.")
    assert "Fix the candidate" not in content["next_step"]
    assert ("<failure" in (tmp_path / files.JUNIT).read_text()) == (word == "FAIL")


@pytest.mark.slow
def test_runs_that_the_target_ended_are_a_note_between_looks(tmp_path, sides):
    """The candidate responded again after each: at a look, one more than of the baseline would be a FAIL."""
    broken = [replace(run, manifest=run.manifest.model_copy(update={"ending": "target_died"})) for run in sides[1][:1]]
    conclude(tmp_path, ended("interrupted"), None, (sides[0], [*broken, *sides[1][1:]]), Policy("fail", None))
    content = json.loads((tmp_path / "compare.json").read_text())
    assert content["verdict"] == "INCONCLUSIVE"
    assert any(each["what"].startswith("the target ended 1 of 3 runs of the candidate") for each in content["findings"])


@pytest.mark.parametrize(
    ("ending", "side", "code", "word"),
    [
        ("died", "candidate", ExitCode.FAIL, "FAIL"),
        ("died", "baseline", ExitCode.INVALID, "INVALID"),
        ("interrupted", "candidate", ExitCode.INTERRUPTED, "INCONCLUSIVE"),
    ],
)
def test_a_duel_that_ends_with_nothing_to_compare_is_told_all_the_same(tmp_path, capsys, ending, side, code, word):
    """A candidate that dies in its first run must not only change the exit code."""
    with webhook() as (url, bodies):
        policy = Policy.of("fail", "github", [url])
        assert conclude(tmp_path, ended(ending, side, runs=0), None, ([], []), policy) is code
    (notice,) = map(json.loads, bodies)
    assert (notice["word"], notice["exit_code"], notice["scenario"]) == (word, code, "quick")
    assert f"::error title=quick%3A {word}::" in capsys.readouterr().out
    junit = (tmp_path / files.JUNIT).read_text()
    assert f'<{"failure" if word == "FAIL" else "error"} type="{word}"' in junit


@pytest.mark.slow
def test_a_duel_whose_comparison_cannot_be_written_is_told_all_the_same(tmp_path, capsys, monkeypatch, sides):
    """With what is in the way."""

    def full(*_):
        raise OutputError(Problem("report.html", "can't be written", "free space"))

    monkeypatch.setattr(of_duel, "write_comparison", full)
    monkeypatch.setattr(of_duel, "write_whole", full)
    assert conclude(tmp_path, ended("died"), None, sides, Policy.of("fail", "github", None)) is ExitCode.FAIL
    assert "::error title=quick%3A FAIL::" in capsys.readouterr().out
