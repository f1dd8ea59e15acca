"""The adversary counts wrong verdicts, doesn't take a busy machine for one, and its quick cases are right."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest

from bench.adversary import __main__ as command
from bench.adversary import rounds, table
from bench.adversary.case import FAIL, HUNG, INCONCLUSIVE, INVALID, NO_VERDICT, PASS, REFUSED, Case, Played
from bench.adversary.cases import CASES
from bench.adversary.play import Command, Report
from bench.serving import machine, read_results, write_results

QUICK = ("a good log", "CR CR LF", "a typing error", "failures taken out", "host of the world")
"""Cases that measure nothing, and so are right on any machine."""


def a_case(code=0, right=(PASS,), output="", verdict=None, also=()):
    """A case with a fixed result."""

    def play(directory: Path) -> Played:
        if verdict is not None:
            (directory / "verdict.json").write_text(json.dumps(verdict))
        return Played(code, output, directory)

    return Case(name="made up", kind="made up", tries="nothing", right=right, play=play, also=also)


def found_in(case: Case) -> rounds.Tally:
    found = rounds.Tally(case)
    rounds.play(case, found)
    return found


def named(name: str) -> Case:
    (case,) = (case for case in CASES if case.name == name)
    return case


def test_there_are_enough_cases_and_each_name_is_unique():
    """Enough kinds, and enough honest ones among them."""
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []
    assert len({case.kind for case in CASES}) >= 80
    assert len({case.kind for case in CASES if case.is_honest}) >= 25


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        (a_case(0), None),
        (a_case(1, (FAIL, INCONCLUSIVE)), None),
        (a_case(2, (REFUSED,)), None),
        (a_case(0, (NO_VERDICT,), verdict={"verdict": None}), None),
        (a_case(0, (FAIL, INCONCLUSIVE)), "PASS, right is FAIL or INCONCLUSIVE"),
        (a_case(70, (FAIL,)), "exit 70, right is FAIL"),
        (a_case(None, (FAIL,)), f"{HUNG}, right is FAIL"),
        (a_case(0, verdict={"verdict": FAIL}), "exit code of PASS, verdict.json says FAIL"),
        (a_case(0, output="Traceback (most recent call last):\n"), "a traceback"),
        (a_case(0, also=(lambda _: ["a secret"],)), "a secret"),
    ],
)
def test_a_wrong_verdict_is_counted_with_its_reason(case, wrong):
    """Judged by exit code, verdict.json, output and the case's own checks."""
    found = found_in(case)
    assert (found.wrong_rounds, found.wrongs) == ((1, [wrong]) if wrong else (0, []))


@pytest.mark.parametrize(
    ("right", "thresholds", "tries", "counted"),
    [
        (PASS, [PASS], rounds.TRIES, (1, 1, 0)),
        (FAIL, [PASS, INCONCLUSIVE], rounds.TRIES, (0, 0, 1)),
        (FAIL, [PASS, FAIL], 1, (0, 0, 0)),
    ],
)
def test_a_disturbed_round_is_repeated_and_wrong_only_if_honest(monkeypatch, right, thresholds, tries, counted):
    """At most three tries; for a hostile case the thresholds' verdict counts, or else the round is unmeasured."""
    monkeypatch.setattr(rounds, "wanted_quiet", lambda _: True)
    verdict = {"verdict": INVALID, "thresholds": [{"word": word} for word in thresholds]}
    found = found_in(a_case(4, (right,), verdict=verdict))
    assert sum(found.said.values()) == tries
    assert (found.wrong_rounds, found.disturbed, found.unmeasured) == counted


def test_a_secret_in_a_disturbed_round_is_counted(monkeypatch):
    """A busy machine hides the verdict, and excuses nothing else."""
    monkeypatch.setattr(rounds, "wanted_quiet", lambda _: True)
    case = a_case(4, (FAIL,), verdict={"verdict": INVALID, "thresholds": []})
    found = found_in(dataclasses.replace(case, never=(lambda _: ["a secret is printed"],)))
    assert (found.unmeasured, found.wrong_rounds, set(found.wrongs)) == (1, 1, {"a secret is printed"})


def test_invalid_without_a_disturbance_is_wrong_without_a_repeat():
    """The run's record shows no sign of a busy machine."""
    found = found_in(a_case(4, (FAIL,)))
    assert (found.said, found.wrong_rounds, found.unmeasured) == ({INVALID: 1}, 1, 0)


def test_results_of_other_cases_are_kept(monkeypatch, tmp_path):
    """The latest result of each case, in the order of all cases; cases that no longer exist are removed."""
    monkeypatch.setattr("bench.serving.RESULTS", tmp_path)
    first, second = (dataclasses.replace(a_case(0), name=name) for name in ("first", "second"))
    monkeypatch.setattr(command, "CASES", (first, second))
    command.keep([found_in(second), found_in(dataclasses.replace(first, name="gone"))])
    command.keep([found_in(dataclasses.replace(first, right=(FAIL,)))])
    kept = json.loads((tmp_path / "adversary.json").read_text())
    assert [(one["name"], one["wrong"]) for one in kept["found"]] == [("first", 1), ("second", 0)]
    assert (kept["cases"], kept["wrong_words"]) == (2, 1)


def test_the_machines_of_all_results_are_listed(monkeypatch, tmp_path):
    """As long as a result of another machine is kept."""
    monkeypatch.setattr("bench.serving.RESULTS", tmp_path)
    first, second = (dataclasses.replace(a_case(0), name=name) for name in ("first", "second"))
    monkeypatch.setattr(command, "CASES", (first, second))
    here = machine()["machine"]
    write_results("adversary", {"machine": "another", "found": [found_in(second).as_json()]})
    command.keep([found_in(first)])
    command.keep([found_in(first)])
    assert read_results("adversary")["machine"] == f"another and {here}"
    command.keep([found_in(first), found_in(second)])
    assert read_results("adversary")["machine"] == here


def test_the_table_escapes_markup(monkeypatch, tmp_path):
    """Whatever the cases are called, a row has five cells."""
    monkeypatch.setattr("bench.serving.RESULTS", tmp_path)
    case = dataclasses.replace(a_case(1, (FAIL,)), kind="a | b", tries="<b>`run | head`")
    monkeypatch.setattr(command, "CASES", (case,))
    command.keep([found_in(case)])
    text = table.shown(json.loads((tmp_path / "adversary.json").read_text()))
    assert "1 of 1 cases, of 1 kinds, 0 of them honest, in 1 rounds: **0 wrong verdicts**" in text
    assert r"| a \| b | made up: \<b\>\`run \| head\` | FAIL | FAIL 1 | 0 |" in text


@pytest.mark.long
@pytest.mark.process
@pytest.mark.parametrize(
    "name", ["a good log", "CR CR LF", "a typing error", "failures taken out", "host of the world"]
)
def test_quick_cases_are_right(name):
    """A log, a Windows file, a scenario, a damaged run, a host that isn't allowed."""
    found = found_in(named(name))
    assert found.wrongs == []
    assert found.said.keys() <= set(named(name).right)


@pytest.mark.long
@pytest.mark.process
def test_a_case_that_expects_the_wrong_verdict_is_counted_as_wrong():
    """Through the command line: a failing log that "must" pass."""
    found = found_in(dataclasses.replace(named("CR CR LF in a log"), right=(PASS,)))
    assert (found.wrong_rounds, found.wrongs) == (1, ["FAIL, right is PASS"])


@pytest.mark.process
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["null as balance", "dies midway", "413 before the body", "SIGINT to Locust"])
def test_hostile_runs_are_right(name):
    """Or unmeasured, on a machine that is too busy."""
    assert found_in(named(name)).wrongs == []


@pytest.mark.process
def test_a_hanging_command_is_killed(tmp_path):
    """Its result is "hung"."""
    hanging = Command("report", tmp_path, environment={}, under=("bash", "-c", "sleep 60", "bash"))
    assert hanging.end(most_s=0.5)[0] is None
    assert Played(None, "", tmp_path).said == HUNG


@pytest.mark.long
@pytest.mark.process
def test_a_report_without_thresholds_has_no_verdict(tmp_path):
    """Its result is "no verdict"."""
    stats = named("stats of a good run").play
    assert isinstance(stats, Report)
    assert dataclasses.replace(stats, thresholds=None)(tmp_path).said == NO_VERDICT
