"""A log whose times begin again may be several runs, one of which violated what all of them together meet."""

from __future__ import annotations

import json
import random

import pytest

from loadproof.analysis.foreign.logs import requestlog
from loadproof.analysis.foreign.logs.requestlog import read_log
from loadproof.analysis.foreign.logs.thresholds import read_log_thresholds, verdict_on_log
from loadproof.analysis.report.log_page import log_facts

HEAD = "seconds,name,response_ms,status"


def run_lines(n: int = 1000, *, start_s: float = 0.0, rate_rps: float = 50, name: str = "/pay", failed: int = 0):
    statuses = ["500" if number < failed else "200" for number in range(n)]
    return [f"{start_s + number / rate_rps:.2f},{name},20,{status}" for number, status in enumerate(statuses)]


def log_of(tmp_path, lines):
    path = tmp_path / "requests.csv"
    path.write_text("\n".join([HEAD, *lines, ""]))
    return read_log(path)


def verdict_of(tmp_path, lines, expect):
    file = tmp_path / "thresholds.yaml"
    file.write_text(json.dumps({"thresholds": [{"expect": expect}]}))
    log = log_of(tmp_path, lines)
    return verdict_on_log(read_log_thresholds(file, log), log)


JOINED = {
    "two runs": [*run_lines(), *run_lines()],
    "two runs with their headers": [*run_lines(), HEAD, *run_lines()],
    "three runs": run_lines() * 3,
    "two names in each": [*run_lines(), *run_lines(name="/balance")] * 2,
    "a later run that began in the midst of the first": [*run_lines(), *run_lines(start_s=10)],
    "one with a late line in each": [*run_lines(), "3,/pay,15000,200", "20,/pay,20,200"] * 2,
}


@pytest.mark.parametrize("rows", [250_000, 300])
@pytest.mark.parametrize("lines", JOINED.values(), ids=JOINED)
def test_joined_runs_never_pass(tmp_path, monkeypatch, lines, rows):
    """One of them may have violated what they meet together; in one chunk or in many."""
    monkeypatch.setattr(requestlog, "_CHUNK_ROWS", rows)
    for expect in ("count >= 1500", "error_ratio < 1 %", "p(95) < 1 s"):
        verdict = verdict_of(tmp_path, lines, expect)
        assert (verdict.word, verdict.judgements[0].in_this_run) == ("INCONCLUSIVE", "unsure"), verdict.reason
        assert "the log's times begin again" in verdict.reason
        assert verdict.next_step.startswith("Judge each run's log alone")
    assert "its times begin again" in log_facts(log_of(tmp_path, lines))


def test_two_joined_runs_have_no_common_throughput(tmp_path):
    """Of 50 requests per second each, 100 used to be judged."""
    verdict = verdict_of(tmp_path, JOINED["two runs"], "throughput >= 90 rps")
    assert verdict.word == "INCONCLUSIVE", verdict.reason


def test_joined_runs_can_fail(tmp_path):
    """What they violate together, one of them violated."""
    assert verdict_of(tmp_path, [*run_lines(), *run_lines(failed=500)], "error_ratio < 1 %").word == "FAIL"


_SHUFFLED = run_lines(3000)
random.Random(1).shuffle(_SHUFFLED)
ONE_RUN = {
    "in order": run_lines(),
    "backwards": run_lines()[::-1],
    "in no order": _SHUFFLED,
    "sorted by name": [*run_lines(name="/a"), *run_lines(name="/b"), *run_lines(name="/c")],
    "in two parts, the second first": [*run_lines(start_s=20), *run_lines()],
    "two runs a minute apart": [*run_lines(), *run_lines(start_s=80)],
    "with what took long at its end": [*run_lines(), "3,/pay,15000,200", "5,/pay,14000,200"],
    "with what took long in its midst": [*run_lines(700), "3,/pay,11000,200", *run_lines(700, start_s=14)],
    "a single line": run_lines(1),
    "two lines": run_lines(2, rate_rps=0.1)[::-1],
}


@pytest.mark.parametrize("rows", [250_000, 300])
@pytest.mark.parametrize("lines", ONE_RUN.values(), ids=ONE_RUN)
def test_lines_of_one_run_may_come_in_any_order(tmp_path, monkeypatch, lines, rows):
    """However a program or a person sorted them."""
    monkeypatch.setattr(requestlog, "_CHUNK_ROWS", rows)
    assert log_of(tmp_path, lines).restarts == 0


@pytest.mark.parametrize(("pause_s", "is_told"), [(3600, True), (61, True), (30, False)])
def test_a_pause_that_lowers_rates_is_reported(tmp_path, pause_s, is_told):
    """Two runs at 50 requests per second, an hour apart, make a log with 0.5."""
    log = log_of(tmp_path, [*run_lines(start_s=1.7e9), *run_lines(start_s=1.7e9 + 20 + pause_s)])
    assert any("no request began for" in note for note in log.notes) == is_told
    assert ("after 20 s; rates include that pause" in log_facts(log)) == is_told


def test_a_line_that_ends_within_its_status_is_left_out(tmp_path):
    """A 2 is not a wrong answer, but the beginning of a 200."""
    path = tmp_path / "requests.csv"
    path.write_text("\n".join([HEAD, *run_lines()])[:-2])
    log = read_log(path)
    assert (log.requests, log.unreadable) == (999, 1)
    assert not log.traffic.intervals["outcome"].eq("invalid").any()
