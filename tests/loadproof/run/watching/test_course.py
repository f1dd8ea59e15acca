"""How a run ends: the first reason counts, and a generator is stopped, or killed if it doesn't stop."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from loadproof.run.watching.course import Course


class Stage:
    """A generator that never ends by itself, and a clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.deeds: list[tuple[float, str]] = []
        leader = SimpleNamespace(kill=lambda: self.deed("killed"), wait=lambda: self.deed("gone"))
        generator = SimpleNamespace(leader=leader, end_early=lambda: self.deed("stopped"))
        self.course = Course(generator, now_s=lambda: self.now_s, longest_s=100.0, stop_patience_s=10.0)  # type: ignore[arg-type]

    def deed(self, what: str) -> None:
        self.deeds.append((self.now_s, what))

    def until(self, at_s: float) -> list[tuple[float, str]]:
        """Enforce the course once a second until the generator is killed; returns what was done to it."""
        while self.now_s < at_s and all(what != "killed" for _, what in self.deeds):
            self.now_s += 1.0
            self.course.enforce()
        return self.deeds


@pytest.fixture
def stage():
    return Stage()


def test_a_generator_that_runs_for_too_long_is_killed(stage):
    """And the run isn't valid."""
    assert stage.until(200.0) == [(100.0, "killed"), (100.0, "gone")]
    assert (stage.course.ending, stage.course.is_whole) == ("generator_died", False)
    assert stage.course.detail == "it did not end in time and was killed"


@pytest.mark.parametrize("stopped", [False, True])
def test_the_time_limit_restarts_when_the_plan_begins(stage, stopped):
    """Unless the run is being stopped anyway."""
    stage.until(60.0)
    if stopped:
        stage.course.stop("interrupted", "SIGINT")
    stage.course.begin(0.0)
    assert stage.until(300.0)[-1] == (70.0 if stopped else 160.0, "gone")


def test_the_time_limit_counts_from_second_0(stage):
    """Workers may need minutes for their locustfile's listeners."""
    stage.until(60.0)
    stage.course.begin(50.0)
    assert stage.until(300.0)[-1] == (210.0, "gone")


def test_a_generator_is_stopped_once_and_then_given_time_to_end(stage):
    """After the given grace period; the reason for the ending stays."""
    stage.course.stop("target_died", "exit code 1", in_s=2.0)
    assert stage.until(50.0) == [(2.0, "stopped"), (12.0, "killed"), (12.0, "gone")]
    assert (stage.course.ending, stage.course.detail) == ("target_died", "exit code 1")


def test_a_generator_that_ends_by_itself_is_not_stopped(stage):
    """But killed if it doesn't end."""
    stage.course.becomes("disk_full", "no space left")
    stage.course.expect_end()
    assert stage.until(50.0) == [(10.0, "killed"), (10.0, "gone")]
    assert stage.course.ending == "disk_full"


@pytest.mark.parametrize("first", ["interrupted", "terminated", "disk_full"])
def test_the_first_reason_to_stop_stays(stage, first):
    """A disk that fills up afterwards changes nothing."""
    stage.course.stop(first, "first")
    stage.course.stop_unrecorded("no space left")
    assert (stage.course.ending, stage.course.detail) == (first, "first")


def test_a_full_disk_stays_the_ending_of_a_run_that_is_then_interrupted(stage):
    """A signal while the generator is ending by itself doesn't make the run valid."""
    stage.course.becomes("disk_full", "no space left")
    stage.course.stop("interrupted", "SIGINT")
    assert stage.until(50.0)[0] == (1.0, "stopped")
    assert (stage.course.ending, stage.course.detail) == ("disk_full", "no space left")


def test_a_run_that_cannot_be_recorded_is_stopped(stage):
    """At once unless it is being stopped already; then only its ending changes."""
    stage.course.stop("aborted", "p(95) < 1 ms", in_s=3.0)
    stage.course.stop_unrecorded("no space left")
    assert stage.course.ending == "disk_full"
    assert stage.until(5.0) == [(3.0, "stopped")]
    other = Stage()
    other.course.stop_unrecorded("no space left")
    assert other.until(5.0) == [(1.0, "stopped")]
    assert (other.course.ending, other.course.detail) == ("disk_full", "no space left")
