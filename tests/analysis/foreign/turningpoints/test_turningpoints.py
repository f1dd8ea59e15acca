"""Where a run turned: found where the truth is known, and silent on noise."""

from __future__ import annotations

import pytest

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.turningpoints.turningpoints import find_turns
from loadproof.analysis.foreign.turningpoints.windows import windows
from simulation.locustcsvs import write_history


def ramp(second: float) -> float:
    """One more user every three seconds."""
    return 1 + second / 3


def saturating(second: float) -> float:
    """Five requests a second for each user, up to 40 users at second 117."""
    return 5 * min(ramp(second), 40)


def turns(tmp_path, **truth):
    return find_turns(load_locust_run(write_history(tmp_path / "run", **truth)))


def kinds(degradation):
    return [turn.kind for turn in degradation.turns]


@pytest.mark.slow
@pytest.mark.parametrize("cumulative", [False, True])
def test_where_throughput_stops_growing_is_found(tmp_path, cumulative):
    """At 40 users, whatever the percentiles cover."""
    found = turns(tmp_path, users=ramp, rate_rps=saturating, noise=0.03, cumulative=cumulative)
    assert kinds(found) == ["throughput"]
    assert abs(found.turns[0].users - 40) <= 8
    assert abs(found.turns[0].at_s - 117) <= 25
    assert "throughput stopped growing at about" in found.turns[0].what


def test_throughput_that_falls_beyond_the_knee_is_found(tmp_path):
    """Congestion, not only saturation."""
    found = turns(tmp_path, users=ramp, rate_rps=lambda s: 200 - abs(ramp(s) - 40) * (5 if ramp(s) < 40 else 1))
    assert kinds(found) == ["throughput"]


@pytest.mark.parametrize(("cumulative", "word"), [(False, "p95"), (True, "the mean response time")])
def test_where_response_times_double_is_found(tmp_path, cumulative, word):
    """Flat, then growing every 20 s from second 150 on; by windows' means if percentiles are since the start."""
    found = turns(
        tmp_path,
        users=ramp,
        rate_rps=lambda s: 5 * ramp(s),
        p95_ms=lambda s: 40 * max(1.0, 1 + (s - 150) / 20),
        noise=0.03,
        cumulative=cumulative,
    )
    assert kinds(found) == ["times"]
    assert 160 <= found.turns[0].at_s <= 190
    assert found.turns[0].what.startswith(f"{word} more than doubled")


def test_where_failures_begin_is_found(tmp_path):
    """Even under a constant load."""
    found = turns(
        tmp_path, users=lambda _: 20, rate_rps=lambda _: 100, error_ratio=lambda s: 0.002 if s < 200 else 0.06
    )
    assert kinds(found) == ["failures"]
    assert 190 <= found.turns[0].at_s <= 210
    assert "can't be determined" in found.extent


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "rate_rps", [lambda s: 5 * ramp(s), lambda _: 100.0, lambda s: 100 + 0.2 * s], ids=["growing", "flat", "slowly"]
)
def test_noise_has_no_turning_points(tmp_path, rate_rps, seed):
    """Growing load without saturation, a rate that never followed users, constant failures: 24 histories, no turn."""
    found = turns(
        tmp_path, users=ramp, rate_rps=rate_rps, noise=0.08, error_ratio=lambda _: 0.02, p95_ms=lambda _: 8, seed=seed
    )
    assert found.turns == ()
    assert found.looked


def test_a_load_that_hardly_changed_shows_nothing_about_load(tmp_path):
    """Times that double by themselves are no reaction to users."""
    found = turns(tmp_path, users=lambda _: 20, rate_rps=lambda _: 100, p95_ms=lambda s: 40 if s < 150 else 400)
    assert found.turns == ()
    assert "hardly changed" in found.extent


def test_a_history_that_is_too_short_says_so(tmp_path):
    """Instead of guessing."""
    found = turns(tmp_path, users=ramp, rate_rps=saturating, seconds=45)
    assert (found.turns, found.looked) == ((), False)
    assert found.extent == "The history is too short: 5 x 10 s with requests; 6 x 10 s are needed."


@pytest.mark.slow
@pytest.mark.parametrize("since_s", [0, 2, 7])
@pytest.mark.parametrize("share", [0.05, 0.7, 0.99])
def test_failures_from_the_start_are_never_reported_as_beginning(tmp_path, since_s, share):
    """No load without them is known; and if all requests fail later on, that is no beginning."""
    found = turns(
        tmp_path,
        users=lambda s: 30 * s,
        rate_rps=lambda _: 100,
        error_ratio=lambda s: 0 if s < since_s else 1 if s > 40 else share,
        seconds=100,
    )
    assert not any("began" in turn.what for turn in found.turns)
    assert found.notes[0].startswith("There were failures from the start: ")
    assert "at 135 users, the lowest load seen" in found.notes[0]
    assert "failures" not in found.looked_for or kinds(found) == ["failures"]


def test_failures_in_the_second_ten_seconds_began_there(tmp_path):
    """Although all of it is at low load; and 'before' only means earlier windows."""
    found = turns(tmp_path, users=ramp, rate_rps=saturating, error_ratio=lambda s: float(s >= 20), seconds=200)
    failed = next(turn for turn in found.turns if turn.kind == "failures")
    assert 18 <= failed.at_s <= 20
    assert failed.what == "failures began: 100 % of the requests, 0 % before"


def test_failures_that_rise_again_are_compared_with_earlier_ones(tmp_path):
    """Not with later ones at the same load."""
    found = turns(
        tmp_path,
        users=lambda s: 200 - s / 2,
        rate_rps=lambda _: 100,
        error_ratio=lambda s: 0.4 if s >= 200 else 0.05,
    )
    assert found.turns[0].what.startswith("failures rose: ")
    assert found.turns[0].what.endswith(" % before")
    assert float(found.turns[0].what.split(", ")[1].split(" %")[0]) < 7


@pytest.mark.parametrize("cumulative", [False, True])
def test_a_ramp_shorter_than_a_window_says_that_it_shows_nothing(tmp_path, cumulative):
    """And still shows the rise."""
    word = "the mean response time" if cumulative else "p95"
    for ramp_s, told in ((15, "Low load was too short"), (4, "The load rose from")):
        found = turns(
            tmp_path,
            users=lambda s, ramp_s=ramp_s: min(1000, 1000 * s / ramp_s),
            rate_rps=lambda _: 200,
            p95_ms=lambda s: 40 if s < 10 else 40 * s,
            seconds=80,
            cumulative=cumulative,
        )
        text = " ".join((found.extent, *found.notes))
        assert found.turns == ()
        assert found.looked_for == ("failures",)
        assert told in text
        assert f"{word} went from " in text


def test_throughput_that_never_followed_users_is_not_reported_as_growing(tmp_path):
    """Its limit may be below the lowest load."""
    found = turns(tmp_path, users=ramp, rate_rps=lambda _: 100)
    assert "throughput" not in found.looked_for
    assert any(note.startswith("Throughput did not grow with users: ") for note in found.notes)


def test_a_change_in_only_the_last_ten_seconds_is_reported(tmp_path):
    """Too short for a turning point, but worth a note."""
    found = turns(
        tmp_path,
        users=ramp,
        rate_rps=saturating,
        error_ratio=lambda s: float(s >= 290),
        p95_ms=lambda s: 400 if s >= 290 else 40,
    )
    assert kinds(found) == ["throughput"]
    assert sum("nly in the last 10 s" in note for note in found.notes) == 2


def test_a_target_that_stood_still_is_reported(tmp_path):
    """It answered nothing, so no ratio includes it."""
    found = turns(tmp_path, users=lambda _: 20, rate_rps=lambda s: 0 if 100 <= s < 150 else 50)
    assert any("no request ended at all" in note for note in found.notes)


def test_two_runs_in_one_history_are_reported_and_the_last_is_examined(tmp_path):
    """As a web UI leaves them; totals that were only reset belong to one run."""
    prefix = write_history(tmp_path / "run", users=ramp, rate_rps=saturating, error_ratio=lambda _: 1.0, seconds=100)
    other = write_history(tmp_path / "other", users=ramp, rate_rps=lambda s: 5 * ramp(s), seconds=100)
    late = [line.replace("17954136", "17954138", 1) for line in _lines(other)[1:]]
    (tmp_path / "run_stats_history.csv").write_text("".join([*_lines(prefix), *late]))
    run = load_locust_run(prefix)
    found = find_turns(run)
    assert any("the history holds 2 runs: its totals begin again after 3.33 min" in one for one in run.damage)
    assert not any(turn.kind == "failures" for turn in found.turns)
    assert not any("from the start" in note for note in found.notes)


def test_totals_that_were_only_reset_are_one_run(tmp_path):
    """Locust's --reset-stats, once all users have started."""
    prefix = write_history(tmp_path / "run", users=ramp, rate_rps=lambda _: 50, seconds=90, restart_s=30)
    assert not any("runs" in one for one in load_locust_run(prefix).damage)
    write_history(tmp_path / "run", users=lambda s: ramp(s % 30), rate_rps=lambda _: 50, seconds=90, restart_s=30)
    assert any("2 runs" in one for one in load_locust_run(prefix).damage)


def test_windows_are_derived_from_the_totals(tmp_path):
    """Every request once, in the window in which it ended."""
    run = load_locust_run(write_history(tmp_path / "run", users=ramp, rate_rps=lambda _: 50, seconds=61))
    table = windows(run)
    first = run.history["requests"].iloc[0]
    assert table["requests"].sum() == run.history["requests"].iloc[-1] - first
    assert (table["throughput_rps"] - 50).abs().max() < 12


def test_totals_that_were_reset_give_no_negative_counts(tmp_path):
    """Locust's --reset-stats, and a second test in its web UI."""
    prefix = write_history(tmp_path / "run", users=ramp, rate_rps=lambda _: 50, seconds=60)
    other = write_history(tmp_path / "other", users=ramp, rate_rps=lambda _: 50, seconds=60)
    late = [line.replace("17954136", "17954137", 1) for line in _lines(other)[1:]]
    (tmp_path / "run_stats_history.csv").write_text("".join([*_lines(prefix), *late]))
    table = windows(load_locust_run(prefix))
    assert (table["requests"] >= 0).all()
    assert (table["mean_s"].dropna() >= 0).all()


def _lines(prefix):
    path = prefix.with_name(f"{prefix.name}_stats_history.csv")
    return path.read_text().replace("\r\n", "\n").splitlines(keepends=True)
