"""A healthy run against the real embedded target, all its files looked at."""

from __future__ import annotations

import csv

import pandas as pd
import pytest

from analysis.estimates.metrics import tally
from analysis.frames.bursts import bursts
from analysis.frames.run import load_run
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from tests.commands import loadproof, only_run, scenario_file, verdict_of

pytestmark = [pytest.mark.process, pytest.mark.quiet]
ALL_FILES = {
    "manifest.json",
    "scenario.yaml",
    "intervals.csv.gz",
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


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """One healthy run for all tests that look at its parts."""
    path = tmp_path_factory.mktemp("healthy")
    done = loadproof("run", scenario_file(path), "--out", path / "reports")
    assert done.returncode == 0, done.stdout + done.stderr
    return only_run(path / "reports"), done


def test_a_healthy_run_passes_and_leaves_every_file(healthy):
    """Verdict and report's path in the terminal, exit code 0."""
    run, done = healthy
    assert {path.name for path in run.iterdir()} >= ALL_FILES
    assert verdict_of(run)["verdict"] == "PASS"
    assert "PASS" in done.stdout
    assert f"report: {run / 'report.html'}" in done.stdout
    assert "steady" in done.stdout
    assert read_manifest(run).ending == "completed"


def test_every_request_sent_has_one_outcome(healthy):
    """In ours, in the generator's count, in Locust's statistics."""
    run = load_run(healthy[0])
    counts = tally(run.intervals)
    assert counts.sent == int(run.generator["sent"].sum())
    assert counts.abandoned == 0
    locust = pd.read_csv(healthy[0] / "locust_stats.csv")
    total = locust[locust["Name"] == "Aggregated"].iloc[0]
    assert total["Request Count"] == counts.sent
    assert total["Failure Count"] == 0
    for endpoint in run.manifest.scenario.mix:
        ours = tally(run.intervals[run.intervals["endpoint"] == endpoint]).sent
        assert locust[locust["Name"] == endpoint]["Request Count"].sum() == ours > 0


def test_locusts_history_ends_with_the_final_counts(healthy):
    """Locust itself makes no final write."""
    with (healthy[0] / "locust_stats_history.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    stats = pd.read_csv(healthy[0] / "locust_stats.csv")
    assert int(last["Total Request Count"]) == stats[stats["Name"] == "Aggregated"]["Request Count"].iloc[0]


def test_locusts_times_and_ours_agree_to_their_rounding(healthy):
    """Locust's median is our service time, to its 2 digits or half a millisecond, plus connecting."""
    run = load_run(healthy[0])
    rows = run.intervals[(run.intervals["series"] == "service") & (run.intervals["endpoint"] == "health")]
    from loadproof.histogram import MIDPOINT_US

    ours_ms = (MIDPOINT_US[rows["bucket"]] * rows["count"]).sum() / rows["count"].sum() / 1000
    locust = pd.read_csv(healthy[0] / "locust_stats.csv").set_index("Name").loc["health", "Average Response Time"]
    assert locust == pytest.approx(ours_ms, rel=0.1, abs=1.0)


def test_bursts_are_simultaneous_and_recorded(healthy):
    """All users, within 50 ms, with their peak in flight."""
    found = bursts(load_run(healthy[0]))
    assert [burst.sent for burst in found] == [20, 20]
    assert all(burst.spread_s < 0.05 for burst in found)
    assert all(1 <= burst.peak_in_flight <= 20 for burst in found)


def test_phases_target_and_generator_are_on_record(healthy):
    """Events in order, samples of /metrics, a row a second."""
    run = load_run(healthy[0])
    assert run.events[run.events["kind"] == "phase"]["detail"].tolist() == ["warm-up", "steady", "bursts"]
    assert {"process_resident_memory_bytes", "process_open_fds", "process_threads"} <= set(run.target["metric"])
    assert run.generator["second"].tolist()[:6] == list(range(6))
    assert run.generator["users"].max() == 20


def test_no_secret_enters_the_run_directory(healthy):
    """The webhook key is made for the run and kept in memory."""
    for path in healthy[0].iterdir():
        assert b"whsec" not in path.read_bytes()


def test_reporting_again_gives_the_same_bytes(healthy):
    """The report is a function of the run directory."""
    run = healthy[0]
    names = (files.VERDICT, files.JUNIT, files.SUMMARY, files.REPORT)
    before = {name: (run / name).read_bytes() for name in names}
    assert loadproof("report", run).returncode == 0
    assert {name: (run / name).read_bytes() for name in names} == before
