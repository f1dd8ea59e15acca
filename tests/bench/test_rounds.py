"""Benchmarks survive rounds that can't be measured, keep several runs, and say how many there are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import nullcontext

import pandas as pd
import pytest

from bench import machine, rate, serving, throughput
from bench.ranges import over_days, over_runs, range_of
from bench.rounds import REPEATS, Rounds, Unmeasured, number_in, reading, repeats_told
from bench.runs import measured_run, saturated_run
from bench.tables import performance, truth
from tests.commands import ROOT


def failing(times, figure=7.0, error=None):
    """A measurement that fails this many times before it returns the figure."""
    outcomes = iter([error or Unmeasured("INVALID")] * times)

    def measure(*_):
        for outcome in outcomes:
            raise outcome
        return figure

    return measure


@pytest.mark.parametrize("error", [Unmeasured("INVALID"), subprocess.TimeoutExpired("k6", 120)])
def test_a_round_that_cannot_be_measured_is_repeated_at_most_three_times(error, capsys):
    """Repeats are counted per tool."""
    rounds = Rounds()
    assert rounds.measured("k6", failing(0)) == 7.0
    assert rounds.measured("hey", failing(REPEATS, error=error)) == 7.0
    assert rounds.reported() == {"repeated": {"k6": 0, "hey": 3}, "left_out": {}}
    assert rounds.measured("hey", failing(REPEATS + 1, error=error)) is None
    assert capsys.readouterr().err.endswith(f"hey: left out after 3 repeats: {error}\n")
    assert rounds.reported() == {"repeated": {"k6": 0, "hey": 6}, "left_out": {"hey": 1}}
    assert capsys.readouterr().err.endswith("Left out after 3 repeats each: hey 1 ×.\n")


def test_a_round_with_a_bug_is_not_repeated():
    """It would only fail again."""
    with pytest.raises(ZeroDivisionError):
        Rounds().measured("k6", lambda: 1 / 0)


def test_repeats_are_reported_in_a_sentence():
    """It is empty if there were none, or if nobody counted."""
    assert repeats_told({}) == repeats_told({"repeated": {"k6": 0}, "left_out": {}}) == ""
    told = repeats_told({"repeated": {"k6": 4, "hey": 0}, "left_out": {"k6": 1}})
    assert told == "Repeated because a round could not be measured: k6 4 ×. Left out after 3 repeats each: k6 1 ×."


def test_unreadable_output_is_no_measurement():
    """Whether a pattern doesn't match or a parser fails."""
    assert number_in("Requests/sec: 12.5", r"Requests/sec:\s+([\d.]+)") == 12.5
    with pytest.raises(Unmeasured, match="connection refused"):
        number_in("connection refused", r"Requests/sec:\s+([\d.]+)")
    for read in (lambda: json.loads("{"), lambda: {}["metrics"], lambda: max([]), lambda: float("N/A")):
        with pytest.raises(Unmeasured), reading("?"):
            read()


@pytest.fixture
def out(tmp_path):
    """A directory with one run that passed."""
    shutil.copytree(ROOT / "reports/sample", tmp_path / "out/run", ignore=shutil.ignore_patterns("report.*"))
    return tmp_path / "out"


def change_verdict(out, word):
    file = out / "run/verdict.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"verdict": word}))


@pytest.mark.parametrize("read", [measured_run, saturated_run])
def test_a_run_without_a_verdict_is_no_measurement(read, out):
    """Nor is one without a directory."""
    assert read(out).manifest.scenario.name == "load-100"
    (out / "run/verdict.json").unlink()
    with pytest.raises(Unmeasured, match="no verdict"):
        read(out)
    shutil.rmtree(out)
    with pytest.raises(Unmeasured, match="0 run directories"):
        read(out)


def test_an_invalid_run_is_no_measurement_unless_its_generator_should_be_saturated(out):
    """A saturated core makes the run INVALID."""
    change_verdict(out, "INVALID")
    assert saturated_run(out).manifest.scenario.name == "load-100"
    with pytest.raises(Unmeasured, match="loadproof: INVALID"):
        measured_run(out)


@pytest.mark.slow
@pytest.mark.parametrize(("column", "value", "why"), [("asleep_s", 2.0, "slept"), ("loop_delay_s", 1.5, "stalled")])
def test_a_saturated_run_that_stalled_is_no_measurement(column, value, why, out):
    """A busy core is intended, a stall is not."""
    rows = pd.read_csv(out / "run/generator.csv")
    rows["cpu_ratio"] = 1.0
    rows.to_csv(out / "run/generator.csv", index=False)
    assert saturated_run(out)
    rows.loc[rows["second"] == 20, column] = value
    rows.to_csv(out / "run/generator.csv", index=False)
    with pytest.raises(Unmeasured, match=why):
        saturated_run(out)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty results directory, and benchmarks that take no time; one day's ratios are shown."""
    monkeypatch.setattr("bench.ranges.ENOUGH_DAYS", 1)
    monkeypatch.setattr(serving, "RESULTS", tmp_path / "results")
    for module in (throughput, rate):
        monkeypatch.setattr(module, "versions", dict)
        monkeypatch.setattr(module, "probe", lambda: {"python_call_ns": 50.0, "system_call_pair_us": 10.0})
        monkeypatch.setattr(module.sys, "argv", ["bench", "2"])
    monkeypatch.setattr(throughput, "nginx", lambda **_: nullcontext("http://127.0.0.1"))
    monkeypatch.setattr(throughput, "TLS_TOOLS", ())
    return tmp_path / "results"


def test_results_are_written_even_if_a_tool_could_not_be_measured(results, monkeypatch, capsys):
    """Its cell in the table is a dash, and the line above says why."""
    monkeypatch.setattr(throughput, "TOOLS", {"loadproof": failing(1, 100.0), "k6": failing(99), "hey": failing(0, 80)})
    throughput.main()
    (run,) = serving.read_results("throughput")["runs"]
    assert run["rounds_rps"] == {"loadproof": [100.0, 100.0], "k6": [], "hey": [80, 80]}
    assert run["median_rps"] == {"loadproof": 100.0, "hey": 80}
    assert run["repeated"] == {"loadproof": 1, "k6": 6, "hey": 0}
    assert run["left_out"] == {"k6": 2}
    assert "Left out after 3 repeats each: k6 2 ×." in capsys.readouterr().err
    text = performance.throughput()
    assert "Repeated because a round could not be measured: loadproof 1 ×, k6 6 ×. Left out" in text
    assert "| hey | 1.25 | 1.2 | 80 | 80 (2) |" in text
    assert "50 ns | 10.0 µs | 200 | 100 | 80 |" in text


def test_tls_has_its_own_rows_and_goals(results, monkeypatch):
    """Only for tools that are measured over TLS."""
    monkeypatch.setattr(throughput, "TLS_TOOLS", ("loadproof", "k6"))
    tools = {"loadproof": failing(0, 100.0), "k6": failing(3, 40.0), "wrk": failing(0, 400)}
    monkeypatch.setattr(throughput, "TOOLS", tools)
    throughput.main()
    (run,) = serving.read_results("throughput")["runs"]
    assert run["tls_rounds_rps"] == {"loadproof": [100.0, 100.0], "k6": [40.0, 40.0]}
    assert run["repeated"]["k6 over TLS"] == 0
    plain, over_tls = performance.throughput().split("Over TLS.")
    assert "| wrk | 0.25 | 0.25 |" in plain
    assert "| k6 | 2.50 | 2.5 | 40 | 40 (2) |" in over_tls
    assert "wrk" not in over_tls


def test_tables_can_be_made_without_a_measurement_of_loadproof(results, monkeypatch):
    """Then there is nothing to divide."""
    monkeypatch.setattr(throughput, "TOOLS", {"loadproof": failing(99), "hey": failing(0, 80)})
    throughput.main()
    assert "| hey | – | 1.2 | 80 | 80 (2) |" in performance.throughput()
    monkeypatch.setattr(rate, "TOOLS", {"loadproof": failing(99), "k6": failing(0, {"cpu_s_per_1000": 0.3})})
    rate.main()
    assert "| CPU per 1000 requests, whole command | – | 0.300 s |  |" in truth.rate()


def test_a_table_shows_the_range_over_all_runs_and_how_many_missed_the_goal(results):
    """One row per client."""
    common = {"machine": "a", "python": "3", "command": "make bench-throughput", "goals": {"hey": 1.2}}
    for day, rps in (("2026-01-01", 50), ("2026-01-02", 80), ("2026-01-03", 200)):
        medians = {"loadproof": 100.0, "hey": rps}
        rounds = {name: [value] for name, value in medians.items()}
        serving.add_run("throughput", common | {"date": day, "median_rps": medians, "rounds_rps": rounds})
    text = performance.throughput()
    assert "3 runs on 3 days (2026-01-01, 2026-01-02, 2026-01-03). Latest" in text
    assert "| hey | 0.50 to 2.00 | 1.2, missed in 1 of 3 | 200 | 200 (1) |" in text


def test_a_run_replaces_one_of_the_same_day_and_machine_and_the_oldest_are_dropped(results):
    """Ten runs are kept."""
    for day in range(12):
        serving.add_run("rate", {"date": f"2026-01-{day:02}", "machine": "a", "python": "first"})
    serving.add_run("rate", {"date": "2026-01-05", "machine": "a", "python": "again"})
    serving.add_run("rate", {"date": "2026-01-05", "machine": "b", "python": "elsewhere"})
    runs = serving.read_results("rate")["runs"]
    assert len(runs) == serving.MOST_RUNS
    assert [run["python"] for run in runs if run["date"] == "2026-01-05"] == ["again", "elsewhere"]
    assert runs[0]["date"] == "2026-01-03"


def test_the_days_of_runs_are_counted_and_too_few_are_flagged():
    """A run without a recorded date doesn't count as a day."""
    undated, first, second, third = (
        {"date": date} for date in ("not recorded", "2026-01-01", "2026-01-02", "2026-01-03")
    )
    few = " No ratios are shown for fewer than 3 recorded days."
    assert over_runs([undated, first]) == f"1 run on 1 day (2026-01-01), and 1 run of unrecorded date.{few}"
    assert over_runs([first, first, second]) == f"3 runs on 2 days (2026-01-01, 2026-01-02).{few}"
    assert over_runs([first, second, third]) == "3 runs on 3 days (2026-01-01, 2026-01-02, 2026-01-03)."
    assert over_days([1.0, 2.0, 3.0], [undated, first, second]) == "–"
    assert over_days([1.0, 2.0, 3.0], [first, second, third]) == "1.00 to 3.00"


def test_a_range_goes_from_the_lowest_to_the_highest():
    """The unit is written once, and a single value is no range."""
    assert range_of([1.234, None, 0.7]) == "0.70 to 1.23"
    assert range_of([0.701, 0.699]) == "0.70"
    assert range_of([0.2, 0.1], "{:.1f} ms") == "0.1 to 0.2 ms"
    assert range_of([None]) == "–"


def test_microseconds_are_computed_only_from_a_run_on_the_profiles_machine(results):
    """One machine's shares times another machine's rate would mean nothing."""
    for day, where, rps in (("2026-01-01", "a", 1e5), ("2026-01-02", "a", 2e5), ("2026-01-03", "b", 1e6)):
        serving.add_run("throughput", {"date": day, "machine": where, "median_rps": {"loadproof": rps}})
    assert performance.us_per_request({"date": "2026-01-01", "machine": "a"}) == 10
    assert performance.us_per_request({"date": "2026-01-09", "machine": "a"}) == 5
    assert performance.us_per_request({"date": "2026-01-03", "machine": "c"}) is None


@pytest.mark.long
@pytest.mark.slow
def test_the_probe_measures_and_restores_the_cpu_affinity():
    """A pair of system calls takes longer than a Python call on any machine."""
    before = os.sched_getaffinity(0)
    found = machine.probe()
    assert 0 < found["python_call_ns"] < found["system_call_pair_us"] * 1000
    assert os.sched_getaffinity(0) == before
