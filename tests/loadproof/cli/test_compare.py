"""`loadproof compare`: from two groups of run directories to a verdict, files and an exit code."""

from __future__ import annotations

import json

import numpy as np
import pytest

from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest, write_manifest
from simulation.rundirs import scenario, write_run
from tests.commands import in_process
from tests.loadproof.cli.refusals import refused
from tests.servers import webhook

pytestmark = pytest.mark.slow

PLAN = scenario(
    mix={"balance": {"share": "100 %", "every": "1 s"}},
    phases=[{"name": "steady", "duration": "8 s", "users": 100}],
    thresholds=[{"expect": "p(90) < 200 ms"}, {"expect": "goodput_ratio >= 98 %"}],
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs of each of two releases, made alternately; the candidate takes 50 % longer."""
    root = tmp_path_factory.mktemp("releases")
    random = np.random.default_rng(1)
    for number in range(6):
        name, slower = (("v1", 1.0), ("v2", 1.5))[number in {1, 2, 5}]
        median_ms = {"balance": 20 * slower * random.normal(1, 0.01)}
        path = write_run(root / name / f"run-{number}", plan=PLAN, median_ms=median_ms, seed=number)
        facts = read_manifest(path)
        write_manifest(path, facts.model_copy(update={"start_unix_s": facts.start_unix_s + 20 * number}))
    return root


def test_two_groups_divided_by_dashes_are_compared(runs, tmp_path):
    """All files are in the comparison's own directory; a regression ends with 1."""
    sides = sorted((runs / "v1").iterdir()), sorted((runs / "v2").iterdir())
    done = in_process("compare", *sides[0], "--out", tmp_path, "--annotate", "github", "--", *sides[1])
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("regressed  Worse: ")
    assert "::error title=synthetic%3A FAIL::" in done.stdout
    (directory,) = tmp_path.glob("*-compare-synthetic")
    assert {path.name for path in directory.iterdir()} == {"compare.json", files.SUMMARY, files.JUNIT, files.REPORT}
    assert f"report: {directory / files.REPORT}" in done.stdout.splitlines()
    assert json.loads((directory / "compare.json").read_text())["word"] == "regressed"


def test_directories_of_runs_are_compared_and_inconclusive_may_pass(runs, tmp_path):
    """Given by options; an INVALID run is left out and named."""
    late = write_run(runs / "late", plan=PLAN, lag_ms=60)
    arguments = ("--baseline", runs / "v1", "--baseline", late, "--candidate", runs / "v2" / "run-1", "--out", tmp_path)
    done = in_process("compare", *arguments)
    assert done.returncode == 3, done.stdout
    words = " ".join(done.stdout.split())
    assert "is left out: the run is INVALID (" in words
    assert "3 and 1 runs can't tell a change from noise" in words
    assert in_process("compare", *arguments, "--inconclusive", "pass").returncode == 0
    done = in_process("compare", "--baseline", late, "--candidate", runs / "v2", "--out", tmp_path)
    assert (done.returncode, "the run is INVALID" in done.stderr) == (4, True)


def test_a_side_without_a_valid_run_is_told(runs, tmp_path):
    """To the CI system and to others: exit code 4 must not be all that anybody learns."""
    late = write_run(runs / "late, too", plan=PLAN, lag_ms=60)
    with webhook() as (url, bodies):
        options = ("--out", tmp_path, "--annotate", "github", "--notify", url)
        done = in_process("compare", "--baseline", runs / "v1", "--candidate", late, *options)
    assert done.returncode == 4
    assert "::error title=compare%3A INVALID::" in done.stdout
    (notice,) = map(json.loads, bodies)
    assert (notice["word"], notice["exit_code"], "the run is INVALID" in notice["reason"]) == ("INVALID", 4, True)


def test_runs_that_cannot_be_compared_are_refused_without_leaving_files(runs, tmp_path):
    """With the usage."""
    v1 = runs / "v1" / "run-0"
    other = write_run(tmp_path / "other", plan=scenario())
    out = ("--out", tmp_path / "out")
    assert "no `--` between baseline and candidate" in refused("compare", v1, v1, *out)
    assert "more than one `--`" in refused("compare", v1, "--", v1, "--", v1)
    assert refused("compare").count("no runs of the") == 2
    assert "no runs of the candidate" in refused("compare", v1, "--")
    assert "as arguments and as options" in refused("compare", v1, "--", v1, "--baseline", v1)
    assert "the same run more than once" in refused("compare", v1, "--", v1, *out)
    assert "a run of another scenario" in refused("compare", v1, "--", other, *out)
    nowhere = refused("compare", v1, "--", tmp_path / "none", *out)
    assert nowhere.startswith(f"{tmp_path / 'none'}: no such directory; give run directories, or a directory that")
    (tmp_path / "empty").mkdir()
    assert "empty: no runs in it; give run directories" in refused("compare", v1, "--", tmp_path / "empty", *out)
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "v1").symlink_to(v1.parent)
    deeper = refused("compare", v1, "--", tmp_path / "gate", *out)
    assert deeper.startswith(f"{tmp_path / 'gate'}: no runs in it; give one that holds some, like {tmp_path}/gate/v1")
    for margin, what in (("5", "expected a ratio"), ("0 %", "out of range"), ("200 %", "out of range")):
        assert what in refused("compare", v1, "--", other, "--margin", margin)
    assert not (tmp_path / "out").exists()


def test_problems_of_both_sides_are_reported_at_once(tmp_path):
    """Nobody has to try twice."""
    text = refused("compare", "--baseline", tmp_path / "one", "--candidate", tmp_path / "two")
    assert text.count("no such directory") == 2
