"""All files of a healthy run against the real embedded target; its verdict is in test_words.py."""

from __future__ import annotations

import csv
import os

import pandas as pd
import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.bursts import bursts
from loadproof.analysis.frames.journal import count_journal, load_journal, noted_frame
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.journalled import count_intervals
from loadproof.histogram import MIDPOINT_US
from loadproof.rundir import files
from tests.commands import GENERATOR, in_process, verdict_of

pytestmark = pytest.mark.process
ALL_FILES = {
    "manifest.json",
    "scenario.yaml",
    "intervals.csv.gz",
    "journal.csv.gz",
    "generator.csv",
    "target.csv",
    "events.csv",
    "locust_stats.csv",
    "locust_stats_history.csv",
    "locust_failures.csv",
    "locust_exceptions.csv",
    "verdict.json",
    "junit.xml",
    "summary.md",
    "report.html",
}


def test_a_run_writes_every_file_and_prints_the_path(healthy):
    """Verdict, phases and the report's path are printed in the terminal; no process is left."""
    assert {path.name for path in healthy.path.iterdir()} >= ALL_FILES
    assert verdict_of(healthy.path)["verdict"] in healthy.output
    assert f"report: {healthy.path / 'report.html'}" in healthy.output
    assert "steady" in healthy.output
    assert "Traceback" not in healthy.output
    assert healthy.survivors == []


def test_every_request_sent_has_one_outcome(healthy):
    """In our record, in the generator's count, in Locust's statistics."""
    run = load_run(healthy.path)
    counts = tally(run.intervals)
    assert counts.sent == int(run.generator["sent"].sum())
    assert counts.outcomes["ok"] == counts.sent
    assert counts.abandoned == 0
    locust = pd.read_csv(healthy.path / "locust_stats.csv")
    total = locust[locust["Name"] == "Aggregated"].iloc[0]
    assert total["Request Count"] == counts.sent
    assert total["Failure Count"] == 0
    for endpoint in run.manifest.scenario.mix:
        ours = tally(run.intervals[run.intervals["endpoint"] == endpoint]).sent
        assert locust[locust["Name"] == endpoint]["Request Count"].sum() == ours > 0


def test_the_journal_has_each_request_with_its_note(healthy):
    """For the reference API: each payment's key and id once, each balance, each event."""
    run = load_run(healthy.path)
    journal = load_journal(run)
    assert count_journal(run).by_kind == count_intervals(run)
    assert len(journal) == run.generator["sent"].sum()
    words = ["key", "payment", "amount", "account", "balance", "event", "duplicate"]
    rows = journal.join(noted_frame(journal, words))
    paid = rows[(rows["request"] == "transactions") & (rows["status"] == 201)]
    assert len(paid) > 10
    assert paid["key"].is_unique
    assert paid["payment"].is_unique
    assert set(rows.loc[rows["request"] == "transactions", "payment"]) == set(paid["payment"])
    for request, noted in {"transactions": "amount", "balance": "balance", "webhooks": "event"}.items():
        assert rows.loc[rows["request"] == request, noted].notna().all()
    again = rows["duplicate"].eq(other=True)
    assert set(rows.loc[again, "event"]) <= set(rows.loc[~again, "event"])
    assert rows["client"].str.startswith("127.").all()
    assert (rows["ended_us"] > rows["sent_us"]).all()
    assert (rows["sent_us"] - rows["intended_us"]).median() < 100_000


def test_locusts_history_ends_with_the_final_counts(healthy):
    """Locust itself makes no final write."""
    with (healthy.path / "locust_stats_history.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    stats = pd.read_csv(healthy.path / "locust_stats.csv")
    assert int(last["Total Request Count"]) == stats[stats["Name"] == "Aggregated"]["Request Count"].iloc[0]


def test_locusts_times_and_ours_agree_to_their_rounding(healthy):
    """Locust's mean equals our mean service time plus connecting, within a bucket's width.

    Plus the time between connecting and sending, which on a busy machine includes waiting for a core.
    """
    rows = load_run(healthy.path).intervals
    rows = rows[rows["endpoint"] == "health"]
    total_us = rows["count"] * MIDPOINT_US[rows["bucket"]]
    requests = rows.loc[rows["series"] == "service", "count"].sum()
    ours_ms = total_us[rows["series"].isin(["service", "connect"])].sum() / requests / 1000
    locust = pd.read_csv(healthy.path / "locust_stats.csv").set_index("Name").loc["health", "Average Response Time"]
    assert 0.99 * ours_ms - 0.5 <= locust <= 1.01 * ours_ms + 5


def test_bursts_are_recorded(healthy):
    """With all users, and their peak in flight."""
    found = bursts(load_run(healthy.path))
    assert [burst.sent for burst in found] == [20, 20]
    assert all(1 <= burst.peak_in_flight <= 20 for burst in found)


def test_phases_target_and_generator_are_recorded(healthy):
    """Events in order, samples of /metrics, one row per second."""
    run = load_run(healthy.path)
    assert run.events[run.events["kind"] == "phase"]["detail"].tolist() == ["warm-up", "steady", "bursts"]
    assert {"process_resident_memory_bytes", "process_open_fds", "process_threads"} <= set(run.target["metric"])
    seconds = run.generator["second"]
    assert seconds.is_monotonic_increasing
    assert seconds.is_unique
    # The record ends with the plan, and every second has its full length.
    assert run.generator["length_s"].sum() == pytest.approx(run.manifest.phases[-1].end_s, abs=1.0)
    assert seconds.iloc[0] == 0
    assert 4 <= seconds.nunique() <= seconds.iloc[-1] + 1
    assert run.generator["users"].max() == 20


def test_generator_and_target_have_separate_cores(healthy):
    """With two or more cores they don't compete."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one core")
    assert not healthy.cores[GENERATOR] & healthy.cores["payments_api"]


def test_no_secret_enters_the_run_directory(healthy):
    """The webhook key is created for the run and kept in memory."""
    for path in healthy.path.iterdir():
        assert b"whsec" not in path.read_bytes()


@pytest.mark.drawn
def test_reporting_again_gives_the_same_bytes(healthy):
    """The report is a function of the run directory."""
    names = (files.VERDICT, files.JUNIT, files.SUMMARY, files.REPORT)
    before = {name: (healthy.path / name).read_bytes() for name in names}
    in_process("report", healthy.path)
    assert {name: (healthy.path / name).read_bytes() for name in names} == before


def test_a_run_with_three_workers_is_complete(three_workers):
    """Every worker's requests have outcomes, Locust's statistics agree, and clocks aren't mixed up."""
    run = load_run(three_workers.path)
    assert run.manifest.workers == 3
    assert sorted(run.generator["worker"].unique()) == ["1", "2", "3"]
    counts = tally(run.intervals)
    assert counts.sent == int(run.generator["sent"].sum())
    assert counts.abandoned == 0
    stats = pd.read_csv(three_workers.path / "locust_stats.csv")
    assert stats[stats["Name"] == "Aggregated"]["Request Count"].iloc[0] == counts.sent
    assert run.generator["clock_skew_s"].abs().max() < 0.1
    assert count_journal(run).by_kind == count_intervals(run)
    assert set(load_journal(run)["worker"]) == {"1", "2", "3"}
    assert three_workers.survivors == []


@pytest.mark.long
def test_three_workers_send_what_one_sends(healthy, three_workers):
    """The same kinds of requests in each phase, and one per user in each burst."""

    def counts(run) -> pd.Series:
        rows = load_run(run.path).intervals
        rows = rows[rows["series"] == "response"]
        return rows.groupby(["phase", "endpoint"], observed=True)["count"].sum()

    alone, together = counts(healthy), counts(three_workers)
    assert alone.index.equals(together.index)
    assert alone["bursts"].to_dict() == together["bursts"].to_dict()
