"""Whole runs against the real embedded target, healthy and hurt."""

from __future__ import annotations

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

from analysis.estimates.metrics import tally
from analysis.frames.run import load_run
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from tests.commands import ROOT, Background, loadproof, only_run, scenario_file, verdict_of
from tests.servers import answering, serving
from tests.targets import running_target

pytestmark = pytest.mark.process


def run_quick(tmp_path: Path, *arguments: object, environment: dict[str, str] | None = None, **changes: object):
    done = loadproof(
        "run", scenario_file(tmp_path, **changes), "--out", tmp_path / "reports", *arguments, **(environment or {})
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done, only_run(tmp_path / "reports")


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


@pytest.mark.parametrize(("fault", "graceful"), [({}, True), ({"retry_after_s": 1}, False)], ids=["honest", "lying"])
def test_a_retry_after_that_is_not_kept_is_seen(tmp_path, fault, graceful):
    """Three a second come again after a second; five a minute don't, whatever they are told."""
    limits = dict.fromkeys(("health", "balance", "transactions", "webhooks"), "3/s" if graceful else "5/min")
    _, run = run_quick(
        tmp_path,
        settings={"limits": limits},
        expect_throttling=True,
        when_throttled="honour",
        clients="shared",
        phases=[{"name": "steady", "duration": "6 s", "users": 20}],
        thresholds=[{"phase": "steady", "expect": "goodput_ratio >= 1 %"}],
        environment={"FAULTS": json.dumps({"balance": fault, "health": fault})},
    )
    shedding = verdict_of(run)["degradation"]["shedding"]
    assert shedding["graceful"] is graceful
    assert shedding["kept" if graceful else "broken"] > 1
    told = [finding["what"] for finding in verdict_of(run)["findings"]]
    assert any("were refused again after Retry-After" in what for what in told) is not graceful


@pytest.mark.quiet
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
        run.child("payments_api")
    elif moment != "starting":
        run.wait_for_phase(tmp_path / "reports", moment)
        run.child("locust")
    else:
        run.wait_for(tmp_path / "reports/*")
    assert run.signalled(number) == code, run.output
    assert "Traceback" not in run.output
    assert run.survivors() == []
    report = only_run(tmp_path / "reports")
    assert (report / files.REPORT).exists()
    assert verdict_of(report)["verdict"] in {"INCONCLUSIVE", "INVALID"}


def test_a_target_that_dies_midway_fails(tmp_path):
    """With the reason first, and what was measured kept."""
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    run.wait_for(tmp_path / "reports/*/target.csv")
    run.child("payments_api").kill()
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
    # A busy machine may have made the generator late, too.
    assert done.returncode in {3, 4}
    assert "cut off" in done.stdout.lower()


def test_a_full_disk_is_invalid_and_keeps_what_was_measured(tmp_path):
    """The generator's files may not grow any more once it has begun: the recording stops, and says so."""
    # Coverage could not write its own file.
    environment = {name: "" for name in os.environ if name.startswith("COV")}
    with running_target(LIMITER="off", ACCOUNTS="400") as target:
        run = Background(
            *("run", scenario_file(tmp_path), "--out", tmp_path / "reports"), TARGET_URL=target.url, **environment
        )
        run.wait_for(tmp_path / "reports/*/target.csv")
        resource.prlimit(run.child("locust").pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        run.end()
    directory = only_run(tmp_path / "reports")
    assert "Traceback" not in run.output
    assert "Recording stopped" in run.output
    assert read_manifest(directory).ending == "disk_full"
    again = loadproof("report", directory)
    assert again.returncode == 4
    assert "File too large" in again.stdout


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


@pytest.mark.quiet
def test_somebodys_own_target_is_loaded_and_left_running(tmp_path):
    """TARGET_URL on loopback needs no allow list; limits come from the target file."""
    with running_target(LIMITER="off", ACCOUNTS="400", WEBHOOK_SECRET="whsec_AAAA") as target:
        file = tmp_path / "target.yaml"
        file.write_text(f"base_url: {target.url}\n")
        mix = {"health": {"share": "50 %", "every": "100 ms"}, "balance": {"share": "50 %", "every": "200 ms"}}
        done, run = run_quick(tmp_path, "--target", file, mix=mix, thresholds=[{"expect": "goodput_ratio >= 90 %"}])
        assert done.returncode == 0, done.stdout
        assert target.process.poll() is None
    manifest = read_manifest(run)
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
    suite = ElementTree.parse(run / files.JUNIT).getroot()
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) >= 1
    assert (run / files.SUMMARY).read_text().startswith(f"## {verdict_of(run)['verdict']}: quick\n")


def test_generator_and_target_have_cores_of_their_own(tmp_path):
    """With two or more cores they don't compete."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one core")
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    run.wait_for(tmp_path / "reports/*/target.csv")
    cores = [set(run.child(module).cpu_affinity()) for module in ("locust", "payments_api")]
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


@pytest.mark.quiet
def test_this_machine_has_no_leftovers():
    """After all of the above: no target, no Locust of ours."""
    mine = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    assert not [line for line in mine if "--exit-with-parent" in line]
