"""Extras that are missing are named before anything starts."""

from __future__ import annotations

import re
import tomllib

import pytest

from loadproof.run import extras
from loadproof.run.extras import API, JUDGE, MODULES, missing_extra
from tests.commands import ROOT, in_process
from tests.loadproof.cli.refusals import refused

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def without_pandas(monkeypatch):
    real = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in {"pandas", "uvicorn"} else real(name))


def test_nothing_is_missing_here():
    """Where everything is installed."""
    assert [*missing_extra(API), *missing_extra(JUDGE)] == []


def test_modules_are_those_of_the_extras():
    """As pyproject.toml lists them."""
    for extra, modules in MODULES.items():
        listed = {re.split(r"[\[>=<;,\s]", line)[0] for line in PROJECT["optional-dependencies"][extra]}
        assert {module.replace("_", "-") for module in modules} == listed


def test_a_run_is_refused_where_nothing_could_judge_it(without_pandas):
    """With the extra to install."""
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
def test_whatever_needs_an_extra_asks_for_it_first(without_pandas, command, extra):
    """Before a word of what it would do."""
    done = in_process(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"install loadproof again with the extra {extra}" in done.stderr


@pytest.mark.slow
def test_a_plan_for_a_target_that_cant_be_started_is_refused(without_pandas):
    """Beside all else that is wrong."""
    text = refused("check", "smoke", "--dry-run", "--set", "deadline=1 h")
    assert "deadline" in text
    assert "can't start the reference API without uvicorn; install loadproof again with the extra api" in text


def test_a_scenario_is_checked_where_it_could_not_run(without_pandas):
    """Nothing is started; that nothing could be is a note."""
    done = in_process("check", "smoke")
    assert (done.returncode, done.stderr) == (0, "")
    assert "note: loadproof: can't start the reference API without uvicorn; install loadproof again" in done.stdout


@pytest.mark.slow
def test_a_target_of_ones_own_needs_no_reference_api(without_pandas, tmp_path):
    """Nor does a look at the plan need what judges."""
    target = tmp_path / "target.yaml"
    target.write_text("base_url: http://127.0.0.1:9\n")
    done = in_process("check", "smoke", "--target", target)
    assert done.returncode == 0, done.stderr
    assert "reference API" not in done.stdout
