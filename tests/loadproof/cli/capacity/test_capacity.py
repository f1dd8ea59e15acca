"""`loadproof capacity` refuses what can't be searched, all problems at once, before anything is sent."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
import yaml

from loadproof.analysis.capacity.capacity import Found, capacity_of
from loadproof.cli.capacity import capacity as command
from loadproof.errors import Problem, TargetError
from loadproof.plan.trials import goals_of, trial_of
from loadproof.run.machine.environment import host
from loadproof.rundir.manifest import write_manifest
from loadproof.rundir.trials import RUNS, append_trial, write_search
from loadproof.scenario.loading import load_scenario
from simulation.rundirs import manifest
from simulation.trials import search_for, trial
from tests.analysis.capacity.searched import FOUND
from tests.analysis.capacity.searched import search as two_goals
from tests.commands import in_process
from tests.loadproof.cli.refusals import refused

# In one process, so that the inspection of the locustfiles, which takes a second, is shared.
pytestmark = pytest.mark.slow

OPEN = {
    "name": "searched",
    "model": "open",
    "client_count": 50,
    "deadline": "1 s",
    "mix": {"health": {"share": "100 %"}},
    "phases": [{"name": "steady", "duration": "30 s", "rate": "100 rps"}],
    "thresholds": [{"expect": "p(95) < 200 ms"}, {"expect": "goodput_ratio >= 99 %"}],
    "settings": {"limiter": "off"},
}


@pytest.fixture
def scenario(tmp_path):
    """A function that writes the scenario with changes, and returns its path."""

    def write(**changes: object):
        file = tmp_path / "searched.yaml"
        file.write_text(yaml.safe_dump(OPEN | changes))
        return file

    return write


def test_the_closed_model_has_no_capacity():
    """Its users wait for answers, so they have no rate."""
    text = refused("capacity", "load-100")
    assert "capacity is a rate, and users who wait for responses slow down with the target, got 'closed'" in text
    assert "use `model: open` with rates" in text


def test_limits_that_a_search_would_find_are_refused(scenario):
    """With how to turn them off; `expect_throttling` makes no difference."""
    limited = {"limiter": "local", "limits": {"health": "60/min"}}
    text = refused("capacity", scenario(settings=limited))
    assert "would find the limits, not what the target can take" in text
    assert "--set settings.limiter=off" in text
    assert "at 400 rps" in text
    text = refused("capacity", scenario(settings=limited, expect_throttling=True))
    assert "expect_throttling: a search would find the limits" in text


def test_a_scenario_without_a_goal_is_refused_with_an_example(scenario):
    """A rate is no goal."""
    text = refused("capacity", scenario(thresholds=[{"expect": "goodput >= 90 rps"}]))
    assert "no threshold that can judge a trial, got 'goodput >= 90 rps'" in text
    assert "--goal" in text


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--from", "0"], "--from: not a load between 0 and 100,000 rps, got '0'"),
        (["--to", "1e9"], "--to: not a load"),
        (["--from", "200", "--to", "100"], "--from and --to: too close together to search between"),
        (["--trial", "0.1"], "--trial: not between 1 and 600 s, got '0.1'"),
        (["--from", "1", "--trial", "3"], "a trial at the lower end would have fewer than 20 requests"),
        (["--from", "fast"], "'fast' is not a rate: write it like 500, or '500 rps'"),
        (["--from", "200 rps", "--to", "100 /s"], "--from and --to: too close together to search between"),
        (["--goal", "p95 < 200 ms"], "--goal: "),
        (["--goal", "p(95) < 0 ms"], "--goal: can't be met, got 'p(95) < 0 ms'"),
        (["--goal", "p(95) < 2 min"], "--goal: can't be violated, got 'p(95) < 2 min'"),
        (["--goal", "goodput > 1 rps"], "--goal: not decided by a share of a trial's requests"),
        (["--goal", "error_ratio < 1 %"], "--goal: a target that refuses all of health would meet every goal"),
        (["--goal", "goodput_ratio >= 0.5 %"], "--goal: a target that refuses all of health would meet every goal"),
        (["--goal", "throttled_ratio < 1 %"], "--goal: a target that refuses all of health would meet every goal"),
        (["--goal", "error_ratio <= 100 %"], "--goal: can't be violated at any load, got 'error_ratio <= 100 %'"),
        (["--goal", "goodput_ratio >= 0 %"], "--goal: can't be violated at any load, got 'goodput_ratio >= 0 %'"),
        (
            ["--resume", "."],
            ".: no search.json in it; give a directory that `loadproof capacity` of this version created",
        ),
        (["--resume", "nowhere"], "nowhere: no such directory; give a directory that `loadproof capacity`"),
        (["--resume", "README.md"], "README.md: not a directory; give a directory that `loadproof capacity`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_unusable_options_are_refused(scenario, options, what):
    """One message each."""
    assert what in refused("capacity", scenario(), *options)


def test_a_target_that_refuses_everything_has_no_capacity(scenario):
    """Goodput per second is no goal, and refusals are no errors: the rest would be met at any load."""
    left = [{"expect": "goodput >= 90 rps"}, {"expect": "error_ratio < 1 %"}]
    text = refused("capacity", scenario(thresholds=left))
    assert "thresholds: a target that refuses all of health would meet every goal at any load" in text
    assert "goodput_ratio >= 99 %" in text


def test_several_problems_are_reported_at_once(scenario):
    """Of different options."""
    text = refused("capacity", scenario(), "--to", "0", "--trial", "1000")
    assert "--to: not a load" in text
    assert "--trial: not between" in text


def test_each_goal_needs_enough_requests_in_a_trial_at_the_lower_end(scenario):
    """A goal on one request in a hundred would find none at all in some trials, and be missed."""
    mix = {"health": {"share": "99 %"}, "webhooks": {"share": "1 %"}}
    rare = [{"expect": "goodput_ratio >= 99 %"}, {"endpoint": "webhooks", "expect": "p(95) < 200 ms"}]
    # `--to` is invalid in any case, so nothing is measured.
    text = refused("capacity", scenario(mix=mix, thresholds=rare), "--from", "50", "--to", "1e9")
    assert (
        "--from and --trial: a trial at the lower end would have fewer than 20 requests for "
        "webhooks: p(95) < 200 ms, got '5'; start higher, or give a longer --trial" in text
    )
    assert "fewer" not in refused("capacity", scenario(mix=mix), "--from", "50", "--to", "1e9")


def test_a_search_is_only_resumed_for_the_same_measurement(scenario, tmp_path):
    """With another deadline, settings, target or machine, the trials have no common capacity."""
    target, options = tmp_path / "target.yaml", ["--seed", "2", "--resume", tmp_path]
    target.write_text("base_url: http://127.0.0.1:1\nheaders: {X-Shop: one}\n")
    write_search(tmp_path, search_for(50, 400))
    append_trial(tmp_path, trial(1, 400.0, 10.0, "search", lost=0, of=4000))
    planned = load_scenario(scenario())
    made = trial_of(planned, goals_of(planned)[0], load_rps=400.0, warm_up_s=2.0, duration_s=10.0)
    was = manifest(made)
    facts = was.target.model_copy(
        update={"kind": "own", "limits": {}, "headers": {"X-Shop": "one"}, "base_url": "http://127.0.0.1:1"}
    )
    before = was.model_copy(update={"target": facts, "host": host(), "versions": {}})
    (tmp_path / RUNS / "run-1").mkdir(parents=True)
    write_manifest(tmp_path / RUNS / "run-1", before)

    def differing(*more, **changes):
        text = refused("capacity", scenario(**changes), *options, "--target", target, *more)
        found = {line.partition(":")[0].removeprefix("--resume ") for line in text.splitlines()}
        return found & {"deadline", "mix", "settings.limiter", "target.headers", "machine", "phases", "timeouts"}

    assert differing() == set()
    assert differing(deadline="2 s", mix={"balance": {"share": "100 %"}}) == {"deadline", "mix"}
    assert differing("--set", "settings.limiter=local") == {"settings.limiter"}
    target.write_text("base_url: http://127.0.0.1:1\nheaders: {X-Shop: two}\n")
    write_manifest(tmp_path / RUNS / "run-1", before.model_copy(update={"host": {"cores": "64"}}))
    assert differing() == {"target.headers", "machine"}
    shutil.rmtree(tmp_path / RUNS)
    text = refused("capacity", scenario(), *options, "--target", target)
    told = "none of its trials' runs can be read, so what was measured is unknown; restore trials/, or start over"
    assert told in text


@pytest.mark.parametrize(("found", "code"), [(Found.FOUND, 0), (Found.UNFINISHED, 130)])
def test_a_signal_only_decides_a_search_that_it_ended(scenario, tmp_path, monkeypatch, found, code):
    """While the last trial is read, it comes too late: exit code and files agree."""

    def searched(_, search, directory):
        write_search(directory, two_goals())
        for each in FOUND:
            append_trial(directory, each)
        os.kill(os.getpid(), signal.SIGINT)
        early = (found, "the search was interrupted") if found is Found.UNFINISHED else None
        return capacity_of(two_goals(), FOUND, early)

    monkeypatch.setattr(command, "_searched", searched)
    done = in_process("capacity", scenario(), "--out", tmp_path / "out")
    assert done.returncode == code, done.stdout + done.stderr
    (junit,) = (tmp_path / "out").glob("*/junit.xml")
    assert ("<error" in junit.read_text()) == (code != 0)


def test_a_search_whose_target_is_down_is_annotated(scenario, tmp_path, monkeypatch):
    """Nothing was measured, so there is no result to report."""

    def searched(*_):
        raise TargetError(Problem("http://x", "no HTTP answer", "start it"))

    monkeypatch.setattr(command, "_searched", searched)
    done = in_process("capacity", scenario(), "--out", tmp_path / "out", "--annotate", "github")
    assert (done.returncode, done.stderr.count("no HTTP answer")) == (2, 1)
    assert "::error title=searched%3A NOT MEASURED::http" in done.stdout


def test_a_scenarios_own_phases_may_be_too_short_for_its_thresholds(scenario):
    """Trials decide: `run` refuses a threshold that the phases are too short for, `capacity` doesn't."""
    short = scenario(phases=[{"name": "steady", "duration": "2 s", "rate": "20 rps"}])
    assert "can't be decided: it needs 200 samples" in refused("run", short)
    # `--trial` is invalid, and the only reason for refusal.
    text = refused("capacity", short, "--trial", "0.1")
    assert "--trial: not between 1 and 600 s" in text
    assert "can't be decided" not in text
