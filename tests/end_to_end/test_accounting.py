"""Real runs against servers with any mix of behaviour: the run reports what the server logged, and judges it right."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from loadproof.analysis.frames.journal import load_journal, noted_frame
from loadproof.analysis.frames.run import Run, load_run
from loadproof.outcome import ERRORS, Outcome
from loadproof.rundir import files
from tests.commands import in_process, only_run, scenario_file, verdict_of
from tests.mixtures import ANSWERS, WAYS, Given, answering_by
from tests.profiles import simulations

pytestmark = pytest.mark.process

JOURNAL = "journal"
CLOCKS_DIFFER_US = 50_000
"""More than wall clock and monotonic clock differ."""
ASKING = """
import json, os
from dataclasses import replace
from locust import events, task
from loadproof.users.judging import UnexpectedAnswerError
from loadproof.users.user import ApiUser, expect

JOURNAL = open(os.path.join({directory!r}, f"{journal}.{{os.getpid()}}"), "a", buffering=1)

class {name}User(ApiUser):
    endpoint = "{endpoint}"
    ident = ""

    def context(self):
        return {{"ident": self.ident}}

    @task
    def ask(self):
        ident = self.ident = str(self.new_id())
        note = {{"ident": ident, "answered": lambda reply: reply.answer.json["id"]}}
        call = self.api.call("{method}", f"/{endpoint}/{{ident}}", body={body}, note=note)
        call = replace(call, request=replace(call.request, follow_redirects=True))
        self.send(call, lambda reply: expect(reply.answer.json["id"] == ident, "of another"))

@events.request.add_listener
def note(name, context, exception, **_):
    if name == "{endpoint}":
        kind = type(exception).__name__ if exception else ""
        print(json.dumps([name, context["ident"], kind, str(exception or "")]), file=JOURNAL)
"""
KINDS = {"": "ok", "RequestTimeoutError": "timeout", "ConnectionFailedError": "connection"}
SHARES = {"balance": ("GET", None), "transactions": ("POST", "'small'")}
GOOD = [*["plain"] * 12, *(way for way, (outcome, _) in ANSWERS.items() if outcome == "ok")]
CHANGES = {
    "model": "open",
    "client_count": 10,
    "mix": {name: {"share": "50 %"} for name in SHARES},
    "phases": [{"name": "flat", "duration": "3 s", "rate": "40 rps"}],
    "timeouts": {"connect": "1 s", "total": "1 s"},
    "record": "requests",
    "thresholds": [{"expect": "error_ratio < 5 %"}, {"expect": "goodput_ratio >= 90 %"}],
}


def mixture_of(seed: int) -> list[str]:
    """Some kinds of answers, with right ones added so that every other mixture just misses or just meets thresholds."""
    dice = random.Random(f"mixture {seed}")
    return [*dice.sample(WAYS, dice.randint(1, 6)), *(GOOD * dice.randint(1, 5) if seed % 2 else [])]


def journal_of(directory) -> dict[str, tuple[str, str]]:
    """The endpoint, and what users were told of the request in each process, by the request's id."""
    became: dict[str, tuple[str, str]] = {}
    for file in directory.glob(f"{JOURNAL}.*"):
        for line in file.read_text().splitlines():
            endpoint, ident, kind, text = json.loads(line)
            assert ident not in became
            said = text.partition(":")[0]
            became[ident] = endpoint, KINDS.get(kind) or (said if said in {*Outcome} else "invalid")
    return became


def within_a_second(run: Run, answered: list[Given]) -> bool:
    """Whether right answers are counted in the right second: not before they were given, and at most a second later."""
    rows = run.intervals[(run.intervals["series"] == "completed") & (run.intervals["outcome"] == "ok")]
    given_s = [given.at_unix_s - run.manifest.start_unix_s for given in answered]
    had = [int(rows.loc[rows["second"] < second, "count"].sum()) for second in range(6)]
    given = [sum(at_s < second for at_s in given_s) for second in range(6)]
    return had[-1] == len(answered) and all(
        before <= had[second] <= given[second] for second, before in enumerate([0, *given[:-1]])
    )


def has_a_row_each(run: Run, became: dict[str, tuple[str, str]], last: dict[str, Given]) -> bool:
    """Whether each request has a journal row, by its user's id, that agrees with the user's and the server's record."""
    journal = load_journal(run)
    rows = journal.join(noted_frame(journal, ["ident", "answered"])).set_index("ident")
    told = dict(zip(rows.index, zip(rows["request"], rows["outcome"], strict=True), strict=True))
    given_us = {
        ident: 1e6 * (given.at_unix_s - run.manifest.start_unix_s)
        for ident, given in last.items()
        if given.way in ANSWERS
    }
    in_time = [
        rows.loc[ident, "sent_us"] - CLOCKS_DIFFER_US <= at_us <= rows.loc[ident, "ended_us"] + CLOCKS_DIFFER_US
        for ident, at_us in given_us.items()
    ]
    good = rows[rows["outcome"] == "ok"]
    return told == became and len(rows) == len(became) and all(in_time) and list(good["answered"]) == list(good.index)


def check(directory, ways: list[str], seed: int, workers: int) -> None:
    """Compare by id, then by endpoints and outcomes in the report, then by the verdict."""
    own = directory / "own"
    own.mkdir()
    for endpoint, (method, body) in SHARES.items():
        told = {"directory": str(directory), "journal": JOURNAL, "endpoint": endpoint, "name": endpoint.title()}
        (own / f"{endpoint}.py").write_text(ASKING.format(**told, method=method, body=body))
    options = ("--locustfiles", own, "--workers", workers)
    with answering_by(ways, seed) as (url, mixture):
        out = directory / "out"
        done = in_process("run", scenario_file(directory, **CHANGES), "--out", out, *options, TARGET_URL=url)
        last = mixture.last()
    told = f"{ways} {seed} {workers}: {done.stdout}{done.stderr}"
    run = load_run(only_run(out))
    assert run.manifest.ending == "completed", told
    became = journal_of(directory)
    outcomes = {ident: outcome for ident, (_, outcome) in became.items()}
    assert outcomes == {ident: last[ident].outcome if ident in last else "connection" for ident in became}, told
    assert set(last) <= set(became), told
    rows = run.intervals[run.intervals["series"] == "response"]
    counts = rows.groupby(["endpoint", "outcome"], observed=True)["count"].sum()
    assert Counter({key: int(count) for key, count in counts.items()}) == Counter(became.values()), told
    assert has_a_row_each(run, became, last), told
    assert set(load_journal(run)["worker"]) <= set("12"[:workers]), told
    assert within_a_second(run, [given for given in last.values() if given.outcome == "ok"]), told
    assert int(run.generator["sent"].sum()) == len(became) == 120, told
    total = Counter(outcomes.values())
    errors = sum(total[outcome] for outcome in ERRORS) / len(became)
    word = verdict_of(run.path)["verdict"]
    if errors >= 0.05 or total["ok"] < 0.9 * len(became):
        assert word != "PASS", told
    assert (run.path / files.REPORT).exists()


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, simulations(8)))]
)
def test_a_process_reports_what_the_server_logged(tmp_path, seed):
    """Request by request; and never PASS if the server's log violates a threshold."""
    check(tmp_path, mixture_of(seed), seed, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 100 + simulations(8)))
def test_two_workers_report_what_the_server_logged(tmp_path, seed):
    """Like one process: nothing counted twice, and nothing lost between them."""
    check(tmp_path, mixture_of(seed), seed, 2)
