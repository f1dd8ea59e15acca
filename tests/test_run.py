"""Whole runs against the real embedded target, healthy and hurt."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import psutil
import pytest

from analysis.frames import load_run
from analysis.metrics import bursts, tally
from loadproof import rundir
from tests.commands import ROOT, Background, loadproof, only_run, scenario_file
from tests.servers import answering, serving
from tests.targets import running_target

pytestmark = pytest.mark.slow
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


def verdict_of(run: Path) -> dict[str, object]:
    return json.loads((run / rundir.VERDICT).read_text())


def run_quick(tmp_path: Path, *arguments: object, environment: dict[str, str] | None = None, **changes: object):
    done = loadproof(
        "run", scenario_file(tmp_path, **changes), "--out", tmp_path / "reports", *arguments, **(environment or {})
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done, only_run(tmp_path / "reports")


def test_a_healthy_run_passes_and_leaves_every_file(healthy):
    """Verdict and report's path in the terminal, exit code 0."""
    run, done = healthy
    assert {path.name for path in run.iterdir()} >= ALL_FILES
    assert verdict_of(run)["verdict"] == "PASS"
    assert "PASS" in done.stdout
    assert f"report: {run / 'report.html'}" in done.stdout
    assert "steady" in done.stdout
    assert rundir.read_manifest(run).ending == "completed"


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
    names = (rundir.VERDICT, rundir.JUNIT, rundir.SUMMARY, rundir.REPORT)
    before = {name: (run / name).read_bytes() for name in names}
    assert loadproof("report", run).returncode == 0
    assert {name: (run / name).read_bytes() for name in names} == before


@pytest.mark.parametrize(
    ("fault", "outcome", "threshold"),
    [
        ({"delay_ms": 700}, None, "p(90) < 400 ms"),
        ({"error_ratio": 0.5}, "server_error", "error_ratio < 5 %"),
        ({"wrong_body": True}, "invalid", "error_ratio < 5 %"),
        ({"cut": True}, "connection", "error_ratio < 5 %"),
        ({"hang": True}, "timeout", "error_ratio < 5 %"),
    ],
    ids=str,
)
def test_each_check_bites_when_the_target_is_broken(tmp_path, fault, outcome, threshold):
    """Slow, failing, wrong, cut short, hanging: FAIL by the threshold that it concerns, never INVALID."""
    faults = json.dumps({"balance": fault, "health": fault})
    done, run = run_quick(tmp_path, environment={"FAULTS": faults})
    verdict = verdict_of(run)
    assert (done.returncode, verdict["verdict"]) == (1, "FAIL"), verdict
    failed = [one["expect"] for one in verdict["thresholds"] if one["word"] == "FAIL"]
    assert threshold in failed
    if outcome is not None:
        steady = next(row for row in verdict["summary"] if row["phase"] == "steady" and row["endpoint"] == "health")
        assert steady["outcomes"][outcome] > 0
        failures = pd.read_csv(run / "locust_failures.csv")
        assert failures["Occurrences"].sum() > 0


@pytest.mark.parametrize("policy", ["honour", "ignore", "stop"])
def test_throttled_users_do_what_the_scenario_says(tmp_path, policy):
    """Honour waits, ignore sends on, stop sends no more; throttled requests are no errors."""
    limits = {"health": "5/min", "balance": "5/min", "transactions": "5/min", "webhooks": "5/min"}
    _, run = run_quick(
        tmp_path,
        settings={"limits": limits},
        expect_throttling=True,
        when_throttled=policy,
        thresholds=[
            {"phase": "steady", "expect": "error_ratio < 50 %"},
            {"phase": "steady", "expect": "goodput_ratio >= 1 %"},
        ],
    )
    counts = tally(load_run(run).intervals)
    throttled = counts.outcomes["throttled"]
    assert sum(counts.outcomes[name] for name in ("invalid", "server_error", "timeout", "connection")) == 0
    if policy == "ignore":
        assert throttled > 100
    else:
        # 20 clients, each throttled once, then again at bursts at the most.
        assert 10 <= throttled <= 60


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_the_open_model_sends_what_was_planned(tmp_path, arrivals):
    """Exactly the planned arrivals, from clients that take turns."""
    phases = [
        {"name": "calm", "duration": "1 s", "rate": "20 rps"},
        {"name": "spike", "duration": "3 s", "rate": "80 rps", "ramp": "1 s"},
    ]
    done, run = run_quick(
        tmp_path,
        model="open",
        client_count=30,
        arrivals=arrivals,
        phases=phases,
        thresholds=[{"phase": "spike", "expect": "p(90) < 400 ms"}, {"expect": "goodput_ratio >= 90 %"}],
    )
    assert done.returncode == 0, done.stdout
    counts = tally(load_run(run).intervals)
    assert (counts.sent, counts.dropped) == (20 + 210, 0)


def test_arrivals_beyond_the_bound_are_dropped_and_count_against_goodput(tmp_path):
    """A hanging target: each allowed request waits, the others are never sent."""
    done, run = run_quick(
        tmp_path,
        model="open",
        client_count=30,
        max_in_flight=5,
        phases=[{"name": "flat", "duration": "3 s", "rate": "50 rps"}],
        thresholds=[{"expect": "goodput_ratio >= 90 %"}],
        environment={"FAULTS": json.dumps({"balance": {"hang": True}, "health": {"hang": True}})},
    )
    assert done.returncode == 1
    counts = tally(load_run(run).intervals)
    assert counts.dropped > 50
    assert counts.sent + counts.dropped == 150


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        ("starting", signal.SIGINT, 130),
        ("target up", signal.SIGTERM, 143),
        ("warm-up", signal.SIGINT, 130),
        ("steady", signal.SIGTERM, 143),
        ("bursts", signal.SIGINT, 130),
    ],
)
def test_a_signal_at_any_moment_leaves_a_report_and_no_process(tmp_path, moment, number, code):
    """Ctrl-C or SIGTERM: what there was is judged, nothing goes on running."""
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    if moment == "target up":
        run.child("target")
    elif moment != "starting":
        events = run.wait_for(tmp_path / "reports/*/events.csv")
        while f"phase,{moment}" not in events.read_text():
            assert run.process.poll() is None
        run.child("locust")
    else:
        run.wait_for(tmp_path / "reports/*")
    assert run.signalled(number) == code, run.output
    assert "Traceback" not in run.output
    assert run.survivors() == []
    report = only_run(tmp_path / "reports")
    assert (report / rundir.REPORT).exists()
    assert verdict_of(report)["verdict"] == "INCONCLUSIVE"


def test_a_target_that_dies_midway_fails(tmp_path):
    """With the reason first, and what was measured kept."""
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    run.wait_for(tmp_path / "reports/*/target.csv")
    run.child("target").kill()
    assert run.end() == 1, run.output
    verdict = verdict_of(only_run(tmp_path / "reports"))
    assert verdict["verdict"] == "FAIL"
    assert verdict["reason"].startswith("The target died after")


def test_a_generator_that_dies_midway_is_invalid(tmp_path):
    """Killed from outside: no verdict on the target."""
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    run.wait_for(tmp_path / "reports/*/target.csv")
    run.child("locust").kill()
    assert run.end() == 4, run.output
    assert "generator died" in verdict_of(only_run(tmp_path / "reports"))["reason"]
    assert run.survivors() == []


def test_nothing_survives_the_runner_being_killed(tmp_path):
    """SIGKILL can't be handled, but both children notice."""
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    run.wait_for(tmp_path / "reports/*/target.csv")
    run.children()
    run.process.kill()
    run.process.communicate()
    assert run.survivors() == []
    done = loadproof("report", only_run(tmp_path / "reports"))
    assert done.returncode == 3
    assert "cut off" in done.stdout.lower()


def test_a_full_disk_is_invalid_and_keeps_what_was_measured(tmp_path):
    """The generator's files may not grow beyond 5 kB: the recording stops, and says so."""

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))

    # Coverage could not write its own file.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    with running_target(LIMITER="off", ACCOUNTS="400") as target:
        done = subprocess.run(
            [sys.executable, "-m", "loadproof", "run", scenario_file(tmp_path), "--out", tmp_path / "reports"],
            cwd=ROOT,
            env={**environment, "TARGET_URL": target.url},
            capture_output=True,
            text=True,
            timeout=60,
            preexec_fn=little_room,
            check=False,
        )
    run = only_run(tmp_path / "reports")
    assert "Traceback" not in done.stdout + done.stderr
    assert "can't be written: File too large" in done.stderr
    assert rundir.read_manifest(run).ending == "disk_full"
    again = loadproof("report", run)
    assert again.returncode == 4
    assert "Recording stopped" in again.stdout


def test_two_runs_of_one_seed_send_the_same(tmp_path):
    """The same clients, in the same order, with the same payloads: equal counts per endpoint."""
    totals = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _, run = run_quick(tmp_path / name, "--seed", "5")
        rows = load_run(run).intervals
        rows = rows[(rows["series"] == "response") & (rows["phase"] == "bursts")]
        totals.append(rows.groupby("endpoint", observed=True)["count"].sum().to_dict())
    assert totals[0] == totals[1]


def test_somebodys_own_target_is_loaded_and_left_running(tmp_path):
    """TARGET_URL on loopback needs no allow list; limits come from the target file."""
    with running_target(LIMITER="off", ACCOUNTS="400", WEBHOOK_SECRET="whsec_AAAA") as target:
        file = tmp_path / "target.yaml"
        file.write_text(f"base_url: {target.url}\n")
        mix = {"health": {"share": "50 %", "every": "100 ms"}, "balance": {"share": "50 %", "every": "200 ms"}}
        done, run = run_quick(tmp_path, "--target", file, mix=mix, thresholds=[{"expect": "goodput_ratio >= 90 %"}])
        assert done.returncode == 0, done.stdout
        assert target.process.poll() is None
    manifest = rundir.read_manifest(run)
    assert (manifest.target.kind, manifest.target.base_url) == ("own", target.url)


def test_a_target_that_answers_garbage_fails_with_counted_outcomes(tmp_path):
    """It spoke HTTP when asked first, then it didn't."""
    garbage = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", *[b"@@@@\r\n\r\n"] * 10_000)
    with serving(garbage) as url:
        done, run = run_quick(
            tmp_path,
            environment={"TARGET_URL": url},
            mix={"health": {"share": "100 %", "every": "100 ms"}},
            thresholds=[{"expect": "goodput_ratio >= 90 %"}],
        )
    assert done.returncode == 1
    counts = tally(load_run(run).intervals)
    assert counts.outcomes["connection"] > 0
    assert counts.sent == int(load_run(run).generator["sent"].sum())


def test_junit_and_summary_say_the_same_as_the_verdict(tmp_path):
    """One case a threshold; a failed one is a failure."""
    _, run = run_quick(tmp_path, environment={"FAULTS": json.dumps({"health": {"error_ratio": 1.0}})})
    suite = ElementTree.parse(run / rundir.JUNIT).getroot()
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) >= 1
    assert (run / rundir.SUMMARY).read_text().startswith("## FAIL: quick\n")


def test_generator_and_target_have_cores_of_their_own(tmp_path):
    """With two or more cores they don't compete."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one core")
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    run.wait_for(tmp_path / "reports/*/target.csv")
    cores = [set(run.child(module).cpu_affinity()) for module in ("locust", "target")]
    run.signalled(signal.SIGINT)
    assert not cores[0] & cores[1]


def test_plain_locust_runs_the_same_users(shared_target, tmp_path):
    """`locust -f locustfiles` needs nothing of ours but the files."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "locust",
            "-f",
            "locustfiles",
            "--headless",
            "-u",
            "8",
            "-r",
            "8",
            "-t",
            "4s",
            "--host",
            shared_target.url,
            "--csv",
            tmp_path / "plain",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    stats = pd.read_csv(tmp_path / "plain_stats.csv").set_index("Name")
    assert stats.loc["health", "Request Count"].sum() > 0, done.stderr
    assert stats.loc["health", "Failure Count"].sum() == 0, done.stderr


def test_the_web_ui_is_served_until_ctrl_c():
    """On the same users; both children end with it."""
    import requests

    run = Background("ui", "--port", "18089")
    run.child("locust")
    page = run._eventually(lambda: _page("http://127.0.0.1:18089/"), 20)
    assert "Locust" in page
    assert run.signalled(signal.SIGINT) == 0
    assert run.survivors() == []
    with pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:18089/", timeout=2)


def _page(url: str) -> str | None:
    import requests

    try:
        return requests.get(url, timeout=2).text
    except requests.ConnectionError:
        return None


def test_this_machine_has_no_leftovers():
    """After all of the above: no target, no Locust of ours."""
    mine = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    assert not [line for line in mine if "--exit-with-parent" in line]
