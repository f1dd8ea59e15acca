"""Missing extras are named before anything starts."""

from __future__ import annotations

import re
import tomllib

import pytest

from loadproof.run.machine import extras
from loadproof.run.machine.extras import API, JUDGE, MODULES, missing_extra
from tests.commands import ROOT, in_process
from tests.loadproof.cli.refusals import refused

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def without_pandas(monkeypatch):
    real = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in {"pandas", "uvicorn"} else real(name))


def test_no_extra_is_missing_here():
    """The tests run where everything is installed."""
    assert [*missing_extra(API), *missing_extra(JUDGE)] == []


def test_modules_match_the_extras():
    """As pyproject.toml lists them."""
    for extra, modules in MODULES.items():
        listed = {re.split(r"[\[>=<;,\s]", line)[0] for line in PROJECT["optional-dependencies"][extra]}
        assert {module.replace("_", "-") for module in modules} == listed


def test_a_run_is_refused_if_it_could_not_be_judged(without_pandas):
    """The message names the extra to install."""
    assert (
        "can't judge a run or write a report without pandas; install loadproof again with the extra judge"
        in refused("run", "smoke")
    )
    assert "without pandas" in refused("report", "reports/sample")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["ui"], API),
        (["schema", "verdict"], JUDGE),
        (["run", "smoke", "--dry-run", "--baseline", "reports/sample"], JUDGE),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_command_checks_its_extra_first(without_pandas, command, extra):
    """Before it prints anything."""
    done = in_process(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"install loadproof again with the extra {extra}" in done.stderr


@pytest.mark.slow
def test_a_plan_for_a_target_that_cannot_be_started_is_refused(without_pandas):
    """Together with all other problems."""
    text = refused("check", "smoke", "--dry-run", "--set", "deadline=1 h")
    assert "deadline" in text
    assert "can't start the reference API without uvicorn; install loadproof again with the extra api" in text


def test_a_scenario_can_be_checked_where_it_could_not_run(without_pandas):
    """Nothing is started; a note says that the target couldn't be."""
    done = in_process("check", "smoke")
    assert (done.returncode, done.stderr) == (0, "")
    assert "note: loadproof: can't start the reference API without uvicorn; install loadproof again" in done.stdout


@pytest.mark.slow
def test_your_own_target_needs_no_reference_api(without_pandas, tmp_path):
    """And previewing the plan doesn't need the judge."""
    target = tmp_path / "target.yaml"
    target.write_text("base_url: http://127.0.0.1:9\n")
    done = in_process("check", "smoke", "--target", target)
    assert done.returncode == 0, done.stderr
    assert "reference API" not in done.stdout
