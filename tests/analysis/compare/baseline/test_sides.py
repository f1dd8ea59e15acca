"""What makes a comparison meaningless, and what may explain a difference besides the release."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadproof.analysis.compare.baseline.sides import check_sides, interleaved
from loadproof.errors import InputError
from simulation.releases import RPS, plan_of_releases, release


@pytest.fixture(scope="module")
def runs():
    return release(np.random.default_rng(1), 12)


def changed(run, **fields):
    return replace(run, manifest=run.manifest.model_copy(update=fields))


def at(runs, *starts):
    return [changed(run, start_unix_s=float(start)) for run, start in zip(runs, starts, strict=False)]


def test_runs_that_cant_be_compared_are_refused_with_all_reasons(runs):
    """Another load, the same run twice, another machine."""
    other = plan_of_releases(phases=[{"name": "steady", "duration": "31 s", "rate": f"{RPS} rps"}])
    elsewhere = changed(runs[3], scenario=other, host={"system": "Linux 6 aarch64", "cores": "8"})
    with pytest.raises(InputError) as refused:
        check_sides([runs[0], runs[1]], [replace(elsewhere, path=runs[0].path)])
    again, another, machine = refused.value.problems
    assert again.what == "the same run more than once"
    assert another.what == "a run of another scenario"
    assert "phases" in another.remedy
    assert machine.got == "2 cores Linux → 8 cores aarch64"


def test_a_copy_of_a_run_is_the_same_run(runs):
    """Wherever it is: the same evidence doesn't count twice."""
    copy = replace(runs[1], path=Path("elsewhere/run"))
    with pytest.raises(InputError) as refused:
        check_sides([runs[0], runs[1]], [runs[2], copy])
    (again,) = refused.value.problems
    assert (again.where, again.what) == ("elsewhere/run", "the same run more than once")
    assert again.got == f"a copy of {runs[1].path}"


def test_a_faster_machine_on_one_side_is_no_faster_release(runs):
    """Even if one of its runs was made on the others' machine; equal shares cancel out."""
    host = {"system": "Linux 6 aarch64", "cores": "8"}
    moved = [runs[4], *(changed(run, host=host) for run in runs[5:8])]
    with pytest.raises(InputError) as refused:
        check_sides(runs[:4], moved)
    (machines,) = refused.value.problems
    assert machines.got == "2 cores Linux → 1 on 2 cores Linux, 3 on 8 cores aarch64"
    check_sides([runs[0], changed(runs[1], host=host)], [runs[2], changed(runs[3], host=host)])


def test_other_thresholds_dont_make_another_scenario(runs):
    """Nor does another margin, or another setting of the target, which is reported."""
    other = plan_of_releases("p(95) < 1 s", margin="2 %", settings={"limiter": "off"}, description="other")
    told = [finding.what for finding in check_sides(runs[:2], [changed(runs[2], scenario=other)])]
    assert told == ['the sides differ in settings.limiter: "local" → "off"']


def test_differences_between_the_sides_are_reported(runs):
    """But not what differs within both sides in the same way."""
    seeded = [changed(run, seed=seed) for run, seed in zip(runs, (1, 2, 2, 1), strict=False)]
    assert not [each for each in check_sides(at(seeded[:2], 1, 4), at(seeded[2:], 2, 3)) if "seed" in each.what]
    told = [finding.what for finding in check_sides(seeded[:1], seeded[1:2])]
    assert told == ["the sides differ in seed: 1 → 2"]


def test_sides_that_are_not_two_releases_are_reported(runs):
    """By the names that the runs were given; without names it is unknown."""
    was, now = at(runs[:2], 1, 4), at(runs[2:4], 2, 3)

    def told(*names):
        named = [changed(run, release=name) for run, name in zip((*was, *now), names, strict=True)]
        return [each.what for each in check_sides(named[:2], named[2:])]

    assert told("v1", "v1", "v2", "v3") == ["the runs of the candidate are of several releases: v2, v3"]
    assert told("v1", "v1", "v1", "v1") == ["both sides are release v1"]
    assert told("v1", "v1", "v2", "v2") == told("", "", "", "") == []


def test_runs_are_in_blocks_by_the_order_of_their_starts(runs):
    """The shortest stretches with equally many runs of both sides, and at least four in all."""
    abba = interleaved(at(runs[:4], 1, 4, 5, 8), at(runs[4:8], 2, 3, 6, 7))
    assert [side.tolist() for side in abba] == [[0, 0, 1, 1], [0, 0, 1, 1]]
    assert interleaved(at(runs[:4], 1, 2, 3, 4), at(runs[4:8], 5, 6, 7, 8)) is None
    assert interleaved(at(runs[:2], 1, 1), at(runs[2:4], 2, 3)) is None


def test_one_side_after_the_other_has_no_blocks_however_many_more_it_has(runs):
    """Nor does a single block and what follows it."""
    assert interleaved(at(runs[:3], 1, 2, 3), at(runs[3:], *range(4, 13))) is None
    assert interleaved(at(runs[:2], 1, 4), at(runs[2:5], 2, 3, 5)) is None


def test_recorded_blocks_take_precedence(runs):
    """Whatever the clock says; unless some run has none."""
    numbered = [replace(run, block=number % 2) for number, run in enumerate(runs[:4])]
    found = interleaved(numbered[:2], numbered[2:])
    assert [side.tolist() for side in found] == [[0, 1], [0, 1]]
    assert interleaved(numbered[:2], runs[2:4]) is None
