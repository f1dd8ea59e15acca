"""`loadproof duel`: what it refuses before anything is started or sent."""

from __future__ import annotations

import pytest

from loadproof.cli.duel import duel as duel_command
from loadproof.cli.duel import referee
from loadproof.cli.duel.arguments import LOOKS, QUICK_LOOKS, on_this_machine
from loadproof.run.experiments.duel import looks_problem
from loadproof.run.machine.environment import machine
from loadproof.rundir.duel import DUEL, DuelRun, read_duel, write_duel
from tests.commands import in_process, scenario_file
from tests.loadproof.cli.refusals import refused
from tests.planned import PLANNED
from tests.servers import answering, serving

# In one process, so that the inspection of the locustfiles, which takes a second, is shared.
pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
URL, OTHER = "http://127.0.0.1:1", "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "--baseline: missing; give the last release's URL, or the command that starts it"),
        (("--baseline", URL), "--candidate: missing; give the new release's URL or command, or --aa"),
        (
            ("--baseline", URL, "--candidate", f"{URL}/"),
            "--candidate: the same as --baseline, got 'http://127.0.0.1:1/'",
        ),
        (("--baseline", "./serve", "--candidate", "./serve"), "--candidate: the same as --baseline, got './serve'"),
        (("--baseline", URL, "--candidate", OTHER, "--aa"), "--aa: compares the baseline with itself"),
        (("--baseline", URL, "--aa", "--looks", "2,4"), "--looks: a look at fewer than 4 runs per side"),
        (("--baseline", URL, "--aa", "--looks", "four"), "--looks: not a list of numbers, got 'four'"),
        (("--baseline", URL, "--aa", "--looks", "4,7"), "--looks: a look in the middle of a block"),
        (("--baseline", URL, "--aa", "--looks", "4", "--quick"), "--looks: contradicts --quick"),
        (("--baseline", " ", "--candidate", URL), "--baseline: nothing to run"),
        (("--baseline", URL, "--aa", "--duet", "--workers", "2"), "--duet: each half has one generator, got '2'"),
        (("--baseline", URL, "--candidate", OTHER, "--duet"), "--duet: no duel of equals has shown that this"),
        (("--baseline", "http://example.org", "--aa"), "--baseline: this host is not on the allow list"),
        (("--baseline", "http://:80", "--aa"), "--baseline: not a base URL"),
        (("--baseline", URL, "--aa", "--resume", "there"), "--resume there: the duel keeps its scenario, releases"),
    ],
)
def test_options_that_can_decide_nothing_are_refused_in_one_line(tmp_path, monkeypatch, options, told):
    """And leave no directory."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    out = tmp_path / "reports"
    text = refused("duel", scenario_file(tmp_path), *options, "--out", out)
    assert told in text
    assert text.count("\n") == 1
    assert not out.exists()


def test_a_duel_needs_a_scenario():
    """Unless it is resumed."""
    assert "SCENARIO: missing; give a scenario file, or --resume DIR" in refused("duel", "--baseline", URL, "--aa")


def test_a_scenario_without_a_threshold_on_time_has_nothing_to_compare(tmp_path):
    """Even though each run would have a verdict."""
    file = scenario_file(tmp_path, thresholds=[{"phase": "steady", "expect": "goodput_ratio >= 90 %"}])
    text = refused("duel", file, "--baseline", URL, "--candidate", OTHER, "--out", tmp_path / "reports")
    assert "quick: no threshold on time, so nothing to compare; add the one that matters, like" in text
    assert not (tmp_path / "reports").exists()


def test_releases_with_different_client_identities_are_not_compared(tmp_path):
    """On one side each client would have its own address, on the other all would share one."""
    sides = ("--baseline", URL, "--candidate", "http://example.org", "--allow-host", "example.org")
    text = refused("duel", scenario_file(tmp_path), *sides, "--out", tmp_path / "reports")
    assert "quick: clients would be told apart on one side only; say `clients: shared` or" in text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no duel.json in it; give a directory that `loadproof duel`"),
        ("{}", "Field required"),
        ("[", "no readable duel"),
    ],
)
def test_a_directory_without_a_duel_cannot_be_resumed(tmp_path, content, told):
    """And nothing is written there."""
    if content is not None:
        (tmp_path / DUEL).write_text(content)
    assert told in refused("duel", "--resume", tmp_path)


def test_a_missing_directory_cannot_be_resumed(tmp_path):
    """The message shows what a valid one looks like, not which file is missing."""
    there = tmp_path / "nowhere"
    remedy = "give a directory that `loadproof duel` of this version created, or leave out --resume"
    assert refused("duel", "--resume", there).strip() == f"{there}: no such directory; {remedy}"


def test_a_duel_without_its_scenario_cannot_be_resumed(tmp_path):
    """With another scenario, it would be another duel."""
    write_duel(tmp_path, PLANNED)
    text = refused("duel", "--resume", tmp_path)
    assert "scenario.yaml: can't be read: " in text
    assert text.count("\n") == 1


def test_each_run_has_the_scenario_that_the_duel_began_with(tmp_path):
    """Even if the file has changed since; and no threshold ends a run early."""
    steady = {"phase": "steady", "expect": "goodput_ratio >= 50 % for 1 s", "abort": True}
    file = scenario_file(tmp_path, thresholds=[steady, {"phase": "steady", "expect": "p(50) < 1 s"}])
    planned = PLANNED.model_copy(update={"scenario_file": str(file), "sides": {"baseline": URL, "candidate": OTHER}})
    for assignment in duel_command._assignments(planned, None, []).values():
        assert assignment.scenario_text == file.read_text()
        assert not any(threshold.abort for threshold in assignment.scenario.thresholds)


@pytest.mark.process
def test_the_built_in_scenario_works_with_any_api(tmp_path):
    """The duel gets as far as probing the releases."""
    sides = ("--baseline", URL, "--candidate", OTHER, "--target-wait", 1)
    done = in_process("duel", "duel", *sides, "--out", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"baseline {URL}: no HTTP answer to GET /health"), done.stderr


@pytest.mark.process
def test_a_candidate_that_does_not_start_is_reported_before_anything_is_measured(tmp_path):
    """In one line; the duel can be resumed once it starts."""
    with serving(answering(OK)) as url:
        sides = ("--baseline", url, "--candidate", "echo no such database >&2; exit 3")
        text = refused_beside_plan("duel", scenario_file(tmp_path), *sides, "--out", tmp_path / "reports")
    (path,) = (tmp_path / "reports").iterdir()
    log = path / "candidate.log"
    assert text == (f"candidate: its command ended with code 3 before it answered, got 'no such database'; see {log}\n")
    assert (read_duel(path).runs, read_duel(path).ending) == ((), "running")


def refused_beside_plan(*arguments: object) -> str:
    """The error reported after the plan was shown."""
    done = in_process(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "looks after 4, 6, 8, 12 runs of each side" in done.stdout
    return done.stderr


@pytest.mark.process
def test_a_duel_is_resumed_as_it_was_planned(tmp_path):
    """With the scenario that it began with, even if the file has changed since."""
    file = scenario_file(tmp_path)
    path = tmp_path / "duel"
    path.mkdir()
    (path / "scenario.yaml").write_text(file.read_text())
    planned = PLANNED.model_copy(update={"scenario_file": str(file), "sides": {"baseline": URL, "candidate": OTHER}})
    write_duel(path, planned)
    file.write_text("nonsense")
    done = in_process("duel", "--resume", path, "--target-wait", 1)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"baseline {URL}: no HTTP answer to GET /health: Connection refused" in done.stderr
    assert "at most 12 runs of about " in done.stdout
    assert read_duel(path).scenario == "quick"


def test_a_duel_is_only_resumed_on_the_same_machine(tmp_path):
    """Runs of another machine would make all of them incomparable."""
    run = DuelRun(run="baseline/a", side="baseline", block=0)
    (tmp_path / "scenario.yaml").write_text(scenario_file(tmp_path).read_text())
    planned = PLANNED.model_copy(update={"sides": {"baseline": URL, "candidate": OTHER}})
    write_duel(tmp_path, planned.model_copy(update={"runs": (run,)}))
    text = refused("duel", "--resume", tmp_path)
    assert (
        f"--resume {tmp_path}: the duel was begun on another machine (a machine), got '{machine()}'; resume it there"
        in text
    )
    assert read_duel(tmp_path).runs == (run,)
    assert on_this_machine(PLANNED, tmp_path).machine == machine()


@pytest.mark.parametrize("option", [("--seed", "2"), ("--workers", "2"), ("--locustfiles", "tests")], ids=" ".join)
def test_a_resumed_duel_accepts_no_load_options(tmp_path, option):
    """Options that it would ignore are refused."""
    text = refused("duel", "--resume", tmp_path, *option)
    assert text == f"--resume {tmp_path}: the duel keeps its scenario, releases, looks and load; leave the others out\n"


def test_a_machine_with_too_few_cores_refuses_a_duet(tmp_path, monkeypatch):
    """At least four are needed."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    text = refused("duel", scenario_file(tmp_path), "--baseline", URL, "--aa", "--duet", "--out", tmp_path / "reports")
    assert "--duet: two releases and two generators at the same time need 4 cores, got '3'; leave it out" in text


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("running", "INVALID, to be repeated: code 7"),
        ("died", "died: code 7"),
        ("unmeasured", "INVALID again: code 7"),
    ],
)
def test_a_lost_run_is_announced_as_repeated_only_if_it_will_be(monkeypatch, ending, told):
    """A release that died is not an INVALID measurement."""
    said = []
    monkeypatch.setattr(referee, "say", said.append)
    lost = DuelRun(run="candidate/a", side="candidate", block=0, invalid="code 7")
    duel = PLANNED.model_copy(update={"ending": ending, "runs": (lost,)})
    referee.DuelReferee.after_run(None, duel)
    assert said == [f"0 of at most 12 runs · candidate · {told}"]


def test_the_default_looks_are_valid():
    """Also those of --quick, and the longest one."""
    assert looks_problem(LOOKS) is looks_problem(QUICK_LOOKS) is looks_problem((100,)) is None
