"""Whole runs in simulated time, in which processes, messages, disk and target fail as a seed decides."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.unpatched import locust  # noqa: F401  # isort: skip

from loadproof.analysis.frames.journal import load_journal
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.judge.journalled import MAY_BE_TORN, journalled
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.word import Word, strongest
from loadproof.plan.arrivals import ArrivalPlan
from loadproof.rundir.rows import ABANDONED
from simulation.play import play
from simulation.schedules import OF_THE_TARGET, schedule
from tests.profiles import IS_FULL

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.analysis.frames.run import Run
    from simulation.play import Played

pytestmark = pytest.mark.statistics

PARTS = 8
"""The seeds are split into parts, so that several processes can share them."""
SEEDS = 10_000 if IS_FULL else 200
ENDED_BEFORE = frozenset({"interrupted", "terminated", "target_died"})
"""Endings that are recorded before anything can get lost."""
FAILED_ONCE = {
    25: "a worker's reports came twice: its requests were counted twice, and the word was PASS",
    27: "a phase of 22.5 planned arrivals had all 22: INVALID, though nothing went wrong before the end",
    9795: "the master was stopped while it waited for last answers: they were missing, and the word was FAIL",
    1265: "the generator stood still until the end: turns that had come were nowhere, and the word was PASS",
    1240: "a worker died on a full disk: the watch raised OSError, and nobody wrote how the run ended",
    3715: "after the target, the master was ended: only generator.csv lacked rows, which this test denied",
    8744: "a process stood still in warm-up only, which set its users' turns back: this test missed three of 84",
}
"""Seeds that once found a bug, and what it was."""


def check(seed: int, path: Path) -> None:
    """Play one schedule and check all promises; failures show the whole schedule."""
    one = schedule(seed)
    path.mkdir()
    played = play(one, path)
    run = load_run(path)
    word = word_of(run)
    told = f"{one}: {word}, {run.manifest.ending} {run.manifest.ending_detail}"
    assert played.failures == [], told
    are_counted = each_is_counted(played, run, told)
    is_whole = are_counted and each_is_in_generator_rows(played, run, told)
    assert [finding for finding in journalled(run) if finding.word is not Word.PASS] == [], told
    if one.plan.records_requests:
        assert are_counted == each_has_a_row(played, run, told) or run.manifest.ending in MAY_BE_TORN, told
    assert is_whole or word is Word.INVALID or run.manifest.ending in ENDED_BEFORE, told
    if word is Word.PASS:
        assert is_whole, told
        assert run.manifest.ending == "completed", told
        assert nothing_is_missing(played, run, path), told
    if all(fault.at_s > played.over_s for fault in one.faults):
        assert word in {Word.PASS, Word.INCONCLUSIVE}, told
        assert is_whole, told


def word_of(run: Run) -> Word:
    """The verdict of a run, like `verdict_on_run` but without anything else that it works out."""
    words = {judge_threshold(threshold, run).word for threshold in run.manifest.scenario.thresholds}
    words |= {finding.word for finding in findings_in(run)}
    return strongest(words)


def each_is_counted(played: Played, run: Run, told: str) -> bool:
    """Assert that intervals count no request twice or without being sent; returns whether they count all."""
    rows = run.intervals[run.intervals["series"].isin(["response", "abandoned"])]
    counts = rows.groupby(["series", "endpoint", "outcome"], observed=True)["count"].sum()
    had = Counter({(endpoint, outcome): int(count) for (_, endpoint, outcome), count in counts.items()})
    answered = Counter({(endpoint, str(outcome)): n for (endpoint, outcome), n in played.target.counts().items()})
    cut_off = Counter((asked.endpoint, "") for asked in played.target.log if asked.outcome is None)
    sent = answered + cut_off
    assert had <= sent, f"{told}: {had - sent} too many"
    return had == sent


def each_is_in_generator_rows(played: Played, run: Run, told: str) -> bool:
    """The same for generator.csv: a worker's last row comes when its users have ended, for which nobody may wait."""
    counted, sent = int(run.generator["sent"].sum()), len(played.target.log)
    assert counted <= sent, told
    return counted == sent


def each_has_a_row(played: Played, run: Run, told: str) -> bool:
    """The same as `each_is_counted`, for the journal."""
    journal = load_journal(run)
    had = Counter(zip(journal["request"], journal["outcome"].replace(ABANDONED, "None"), strict=True))
    sent = Counter((asked.endpoint, str(asked.outcome)) for asked in played.target.log)
    assert had <= sent, f"{told}: {had - sent} rows too many"
    return had == sent


def nothing_is_missing(played: Played, run: Run, path: Path) -> bool:
    """Whether the offered load was the plan; in the closed model, what is sent if nothing but the target fails."""
    one = played.schedule
    if run.manifest.scenario.model == "open":
        planned = list(ArrivalPlan(run.manifest.scenario, run.manifest.phases, run.manifest.seed))
        measured_s = min(span.start_s for span in run.manifest.phases if not span.warm_up)
        return offered(run) >= 0.99 * sum(int((block.time_s >= measured_s).sum()) for block in planned)
    if one.only(OF_THE_TARGET) == one:
        return True
    twin = path.with_suffix(".calm")
    twin.mkdir()
    play(one.only(OF_THE_TARGET), twin)
    return offered(run) >= 0.99 * offered(load_run(twin)) - one.workers - fewer_turns(played, run)


def fewer_turns(played: Played, run: Run) -> int:
    """One turn per user whose rhythm may have been set back before the measured phases, without being late in them."""
    measured = [span for span in run.phases if not span.warm_up]
    began_s = played.over_s - run.phases[-1].end_s + measured[0].start_s
    is_set_back = any(fault.at_s < began_s for fault in played.schedule.faults)
    return max(span.users or 0 for span in measured) if is_set_back else 0


def offered(run: Run) -> int:
    """Requests sent, cut off or dropped in the measured phases."""
    warm = [span.name for span in run.manifest.phases if span.warm_up]
    rows = run.intervals[run.intervals["series"].isin(["response", "dropped", "abandoned"])]
    return int(rows.loc[~rows["phase"].isin(warm), "count"].sum())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_request_is_accounted_for_and_the_verdict_is_right_whatever_goes_wrong(part, tmp_path):
    """Sent requests have an outcome or were cut off; PASS means the whole plan; without a fault nothing is INVALID."""
    for seed in range(part, SEEDS, PARTS):
        check(seed, tmp_path / str(seed))
        # Nobody looks at the files of thousands of correct runs, and pytest would keep them.
        for path in tmp_path.iterdir():
            shutil.rmtree(path)


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_seeds_that_once_found_a_bug_pass(seed, tmp_path):
    """FAILED_ONCE says what each of them found."""
    check(seed, tmp_path / str(seed))


def test_a_seed_is_reproducible(tmp_path):
    """Otherwise a failing seed couldn't be debugged."""
    runs = []
    for number in range(2):
        path = tmp_path / str(number)
        path.mkdir()
        play(schedule(26), path)
        runs.append(load_run(path))
    first, second = runs
    assert first.intervals.equals(second.intervals)
    assert first.generator.equals(second.generator)
    assert word_of(first) is verdict_on_run(second).word
