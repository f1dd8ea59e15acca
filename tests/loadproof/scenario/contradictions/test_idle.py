"""Thresholds that decide nothing and keys without effect are rejected, all at once, with what to write instead."""

from __future__ import annotations

import pytest
import yaml

from loadproof.errors import InputError
from loadproof.outcome import Outcome
from loadproof.scenario.target.targetfile import load_target
from loadproof.scenario.thresholds.expectation import parse_expectation
from loadproof.scenario.thresholds.vacuous import Longest, vacuity, wrong_way
from tests.commands import in_process, scenario_file
from tests.loadproof.cli.refusals import refused

KEPT_BY_NONE, BROKEN_BY_NONE = "can't be met", "can't be violated"
WRONG = "a lower limit on a value that should be low"
STEADY = {"name": "steady", "duration": "10 s", "users": 20}
OPEN = {
    "model": "open",
    "client_count": 20,
    "mix": {"balance": {"share": "100 %"}},
    "phases": [{"name": "steady", "duration": "10 s", "rate": "100 rps"}],
}
GOOD = {"expect": "goodput_ratio >= 90 %"}


@pytest.mark.parametrize(
    ("expect", "what", "remedy"),
    [
        ("error_ratio <= 0 %", KEPT_BY_NONE, "`error_ratio < 0.1 %`"),
        ("error_ratio < 0 %", KEPT_BY_NONE, "no number of samples proves that there are none"),
        ("throttled_ratio <= 0 %", KEPT_BY_NONE, "`throttled_ratio < 1 %`"),
        ("goodput_ratio >= 100 %", KEPT_BY_NONE, "`goodput_ratio >= 99.9 %`"),
        ("goodput_ratio > 120 %", KEPT_BY_NONE, "no number of samples proves that all are good"),
        ("burn_rate(99.9) <= 0 x", KEPT_BY_NONE, "`burn_rate(99.9) < 1 x`"),
        ("p(95) < 0 ms", KEPT_BY_NONE, "write a longer one"),
        ("max <= 0.5 us", KEPT_BY_NONE, "write a longer one"),
        ("spread < 0 ms", KEPT_BY_NONE, "write a longer one"),
        ("recovery < 0 s", KEPT_BY_NONE, "write a longer one"),
        ("p(95) >= 20 s", KEPT_BY_NONE, "it is 10 s at most"),
        ("p(95) < 0 * baseline", KEPT_BY_NONE, "`1.10 * baseline`"),
        ("drift(error_ratio) > 100 %", KEPT_BY_NONE, "it is 100 % at most"),
        ("goodput_ratio >= 0 %", BROKEN_BY_NONE, "`goodput_ratio >= 99.9 %`"),
        ("throttled_ratio > 0 %", BROKEN_BY_NONE, "`throttled_ratio >= 1 %`"),
        ("error_ratio < 100 %", BROKEN_BY_NONE, "it is 100 % at most"),
        ("error_ratio <= 250 %", BROKEN_BY_NONE, "it is 100 % at most"),
        ("burn_rate(99) < 100 x", BROKEN_BY_NONE, "it is 100 x at most"),
        ("p(95) < 1 h", BROKEN_BY_NONE, "it is 10 s at most, for the test says so"),
        ("mean >= 0 s", BROKEN_BY_NONE, "write an upper limit, with <"),
        ("count >= 0", BROKEN_BY_NONE, "the least that you expect"),
        ("throughput >= 0 rps", BROKEN_BY_NONE, "the least that you expect"),
        ("goodput >= 0 * baseline", BROKEN_BY_NONE, "the least that you expect"),
        ("drift(error_ratio) < 100 %", BROKEN_BY_NONE, "it is 100 % at most"),
    ],
)
def test_an_expectation_that_decides_nothing_is_reported_with_a_remedy(expect, what, remedy):
    """Whether no target could meet it or none could violate it."""
    found = vacuity(parse_expectation(expect), Longest(10, "the test says so"))
    assert found is not None
    assert found.what == what
    assert remedy in found.remedy


@pytest.mark.parametrize(
    "expect",
    [
        "error_ratio < 0.1 %",
        "error_ratio > 5 %",
        "goodput_ratio >= 99.99 %",
        "burn_rate(99.9) < 14.4 x",
        "p(95) < 9 s",
        "p(95) >= 5 ms",
        "spread <= 0 ms",
        "recovery <= 0 s",
        "count > 0",
        "goodput > 0 rps",
        "drift(p(95)) <= 0 %",
        "drift(memory) < 200 %",
        "p(95) <= 1.10 * baseline",
    ],
)
def test_an_expectation_that_can_be_met_and_violated_is_accepted(expect):
    """A recovery or a spread of 0 can be reached."""
    assert vacuity(parse_expectation(expect), Longest(10, "")) is None


def wrong_ones(*expects: str, outcome: str = "ok") -> list[str]:
    return [expect for expect in expects if wrong_way(parse_expectation(expect), Outcome(outcome))]


def test_a_limit_that_a_worse_target_meets_sooner_is_reported():
    """Too slow, too many errors, too little traffic: only refusals may be many, and slow."""
    low = ["p(90) > 1 s", "max >= 1 s", "mean > 1 s", "spread > 1 s", "recovery > 1 s", "drift(p(95)) > 5 %"]
    others = ["error_ratio > 5 %", "burn_rate(99) > 2 x", "p(95) >= 1.1 * baseline", "count < 5", "goodput < 5 rps"]
    assert wrong_ones(*low, *others) == [*low, *others]
    assert wrong_ones("throttled_ratio > 99 %", "rejected_ratio >= 99 %", "throttled_ratio < 1 %") == []
    assert wrong_ones("p(90) > 1 s", "count < 5", outcome="throttled") == ["count < 5"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": [GOOD, {"expect": "p(95) < 10 s"}]}, "`timeouts.total` ends what takes longer"),
        (
            {"thresholds": [GOOD, {"expect": "p(95) < 3 s", "series": "connect"}], "timeouts": {"connect": "2 s"}},
            "`timeouts.connect` ends what takes longer",
        ),
        (
            {"thresholds": [GOOD, {"expect": "p(95) < 90 s"}], "timeouts": {"total": "10 min"}},
            "times are measured up to 60 s",
        ),
        ({"thresholds": [GOOD, {"phase": "bursts", "expect": "spread <= 1 s"}]}, "then comes the next burst"),
        ({"thresholds": [GOOD, {"expect": "p(50) > 1 s"}]}, f"thresholds[1].expect: {WRONG}"),
        ({"thresholds": [GOOD, {"expect": "error_ratio > 5 %"}]}, f"{WRONG}, got 'error_ratio > 5 %'; use <"),
        ({"thresholds": [GOOD, {"expect": "burn_rate(99) >= 2 x"}]}, WRONG),
        (
            {"thresholds": [{"expect": "goodput_ratio >= 0.0001 %"}]},
            "refuses more than 99.9 % of balance, health, ",
        ),
        ({**OPEN, "thresholds": [{"expect": "goodput >= 0.001 rps"}]}, "would still meet its goodput thresholds"),
        ({"thresholds": [GOOD, {"expect": "error_ratio < 5 %", "series": "connect"}]}, "thresholds[1].series: error_"),
        ({"thresholds": [GOOD, {"expect": "error_ratio < 5 %", "outcome": "ok"}]}, "it goes with p(95), mean and max"),
        ({"thresholds": [GOOD, {"expect": "p(50) < 1 s", "endpoint": []}]}, "thresholds[1].endpoint: an empty list"),
        ({"thresholds": [GOOD, {"expect": "p(50) < 1 s", "phase": []}]}, "thresholds[1].phase: an empty list"),
        ({"thresholds": [GOOD, {"expect": "p(50) < 1 s", "endpoint": ["health"] * 2}]}, "named twice, got 'health'"),
        ({"thresholds": [GOOD, {**GOOD}]}, "thresholds[1]: the same threshold appears above"),
        ({"thresholds": [{"audit": "limits"}, GOOD, {"audit": "limits"}]}, "thresholds[2]: the same threshold appears"),
        ({"thresholds": [{"audit": "limits"}, GOOD], "record": "requests"}, "record: no effect: an audit records"),
        ({"client_count": 5}, "client_count: no effect in the closed model, got '5'; leave it out"),
        ({"max_in_flight": 5}, "max_in_flight: no effect in the closed model"),
        ({"arrivals": "uniform"}, "arrivals: no effect in the closed model"),
        ({**OPEN, "mix": {"balance": {"share": "100 %", "every": "1 s"}}}, "mix.balance.every: no effect in the open"),
        ({**OPEN, "when_throttled": "ignore"}, "when_throttled: no effect in the open model, got 'ignore'"),
        ({"deadline": "11 s"}, "deadline: no response is awaited for that long, got '11 s'"),
        ({"timeouts": {"connect": "11 s"}}, "timeouts.connect: the total timeout comes first, got '11 s'"),
        ({"timeouts": {"first_byte": "11 s"}}, "timeouts.first_byte: the total timeout comes first"),
        (
            {"phases": [STEADY, {"name": "more", "duration": "9 s", "users": 20, "ramp": "5 s"}]},
            "phases[1].ramp: the level before is the same, got '20'; leave it out",
        ),
        ({"phases": [{**STEADY, "ramp": "0 s"}]}, "phases[0].ramp: not accepted, got '0 s'"),
        ({"settings": {"limiter": "off", "limits": {"health": "9/s"}}}, "settings.limits: no effect while the limiter"),
        ({"settings": {"limits": {"helth": "9/s"}}}, "no such limit, got 'helth'; did you mean 'health'?"),
        (
            {"settings": {"limiter": "off", "penalties": {"base": "1 s"}}},
            "settings.penalties: no effect while the limiter is off; remove one of `penalties` and `limiter`",
        ),
        (
            {"settings": {"penalties": {"base": "2 min", "cap": "1 min"}}},
            "settings.penalties.base: the first penalty is longer than the longest, got '120 s'; make it `cap` at most",
        ),
        (
            {"settings": {"deny": ["127.0.1.0/24"], "allow": ["::1", "127.0.1.9"]}},
            "settings.allow[1]: no effect: the deny list is asked first, got '127.0.1.9/32'; take it off one",
        ),
        (
            {"settings": {"deny": ["127.0.1.9", "127.0.1.0/24"]}},
            "settings.deny[0]: no effect: 127.0.1.0/24 is on the list, too, got '127.0.1.9/32'; remove one of them",
        ),
        ({"settings": {"allow": ["::1", "::1"]}}, "settings.allow[1]: no effect: ::1/128 is on the list, too"),
        ({"settings": {"limiter": "off"}, "when_throttled": "honour"}, "when_throttled: no effect: the embedded"),
        ({"settings": {"limiter": "off"}, "expect_throttling": True}, "expect_throttling: no effect: the embedded"),
        (
            {"phases": [{**STEADY, "users": 4}]},
            "mix.webhooks: there is no such user in any phase, got '10 % of 4 users'",
        ),
        ({**OPEN, "thresholds": [GOOD, {"expect": "goodput >= 200 rps"}]}, "the plan has 100 rps at most"),
        ({**OPEN, "thresholds": [GOOD, {"expect": "count >= 2000"}]}, "the plan has 1,001 at most"),
    ],
)
def test_check_rejects_keys_and_thresholds_without_effect(tmp_path, changes, message):
    """With its place and the remedy."""
    thresholds = {"thresholds": [GOOD]} if "phases" in changes else {}
    settings = {"settings": {}, "expect_throttling": True, "timeouts": {}}
    assert message in refused("check", scenario_file(tmp_path, **settings | thresholds | changes))


@pytest.mark.slow
def test_settings_that_each_have_an_effect_pass_the_check(tmp_path):
    """Separate networks, and a narrower denied network inside a wider allowed one."""
    settings = {
        "limiter": "redis",
        "processes": 2,
        "penalties": {"base": "1 s", "cap": "1 s"},
        "bots": "strict",
        "deny": ["127.0.1.0/24", "127.0.2.0/24", "2001:db8::/32"],
        "allow": ["127.0.0.0/8", "2001:db9::/32"],
    }
    done = in_process("check", scenario_file(tmp_path, settings=settings, expect_throttling=True))
    assert done.returncode == 0, done.stderr


def test_keys_without_effect_are_reported_together_with_all_other_errors(tmp_path):
    """Contradictions, thresholds that decide nothing, users that are in no locustfile."""
    mix = {"refunds": {"share": "100 %", "every": "1 s"}}
    thresholds = [GOOD, {"expect": "error_ratio <= 0 %"}, {"expect": "p(95) < 0 ms"}, {"expect": "count >= 0"}]
    text = refused("check", scenario_file(tmp_path, mix=mix, thresholds=thresholds, arrivals="poisson", deadline="1 h"))
    for message in (
        KEPT_BY_NONE,
        BROKEN_BY_NONE,
        "arrivals: no effect",
        "deadline: no response",
        "mix.refunds: no such",
    ):
        assert message in text
    assert text.count(KEPT_BY_NONE) == 2


def test_a_rate_within_the_plan_passes_the_check(tmp_path):
    """Almost all that is planned, with a ramp from zero."""
    changes = {"phases": [{**OPEN["phases"][0], "ramp": "1 s"}], "thresholds": [GOOD, {"expect": "goodput >= 95 rps"}]}
    done = in_process("check", scenario_file(tmp_path, **OPEN | changes))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        (
            {"webhooks": {"signature": "none", "secret": "KEY"}},
            "webhooks.secret: no effect together with `signature: none`",
        ),
        ({"health": {"alive": "up", "answer": {"status": None}}}, "health.alive: no effect together with"),
        (
            {"transactions": {"location": True, "answer": {"id": None}}},
            "transactions.location: no effect together with",
        ),
        (
            {"transactions": {"answer": {"id": None}}, "transaction": {"path": "/paid/{id}"}},
            "no payment can be read back",
        ),
    ],
)
def test_a_target_file_has_no_keys_without_effect(tmp_path, endpoints, message):
    """No key that another key makes ineffective."""
    file = tmp_path / "target.yaml"
    file.write_text(yaml.safe_dump({"base_url": "http://127.0.0.1:1", "endpoints": endpoints}))
    with pytest.raises(InputError, match=message):
        load_target(file)


@pytest.mark.slow
def test_a_limit_for_an_unknown_kind_of_traffic_is_refused(tmp_path):
    """A typo would leave the real one unchecked."""
    file = tmp_path / "target.yaml"
    file.write_text("base_url: http://127.0.0.1:1\nlimits: {balnce: 30/min}\n")
    text = refused("check", scenario_file(tmp_path), "--target", file)
    assert "target limits.balnce: a limit for an unknown kind of traffic, got 'balnce'; did you mean 'balance'?" in text
