"""Faults in a scenario: what they may say, and when they can't happen."""

from __future__ import annotations

import pytest
import yaml

from loadproof.errors import InputError
from loadproof.plan.faultspans import fault_spans
from loadproof.plan.phases import plan_phases
from loadproof.scenario.document import parse_yaml
from loadproof.scenario.loading import check_scenario
from loadproof.scenario.scenario import Scenario
from tests.commands import QUICK


def checked(*faults: dict[str, object], **changes: object) -> Scenario:
    text = yaml.safe_dump(QUICK | changes | {"faults": list(faults)})
    return check_scenario(parse_yaml(text, "quick.yaml"))


def test_a_fault_is_timed_from_its_phase():
    """In seconds from the run's start, in the scenario's order; without `at`, at the phase's start."""
    scenario = checked(
        {"fault": "latency", "phase": "bursts", "lasts": "500 ms", "latency": "20 ms", "jitter": "5 ms"},
        {"fault": "pause", "phase": "steady", "at": "1 s", "lasts": "250 ms"},
    )
    spans = fault_spans(scenario.faults, plan_phases(scenario))
    assert [(span.number, span.start_s, span.end_s) for span in spans] == [(0, 4.0, 4.5), (1, 2.0, 2.25)]


def test_a_scenario_with_faults_survives_a_round_trip():
    """Written and read back, it is the same."""
    scenario = checked(
        {"fault": "bandwidth", "phase": "steady", "lasts": "1 s", "rate": "64 kB/s", "toxicity": "50 %"},
        {"fault": "limit_data", "phase": "steady", "lasts": "1 s", "bytes": 100, "stream": "upstream"},
        {"fault": "kill", "phase": "steady", "lasts": "1 s"},
        {"fault": "command", "phase": "steady", "lasts": "1 s", "name": "failover", "undo": "failback"},
        BACKUP | {"at": "1 s"},
    )
    assert Scenario.model_validate(scenario.model_dump(mode="json")) == scenario


PAUSE = {"fault": "pause", "phase": "steady", "at": "1 s", "lasts": "1 s"}


BACKUP = {"fault": "backup", "phase": "steady", "lasts": "2 s"}


@pytest.mark.parametrize(
    ("faults", "reported"),
    [
        ([PAUSE | {"fault": "latncy"}], "no such fault, got 'latncy'; did you mean 'latency'?"),
        ([{"phase": "steady", "lasts": "1 s"}], "no key 'fault'"),
        ([PAUSE | {"phase": "steddy"}], "faults[0].phase: no such phase, got 'steddy'; did you mean 'steady'?"),
        ([PAUSE | {"at": "3 s"}], "faults[0].at: after the end of its phase, got '3 s'; steady lasts 3 s"),
        ([PAUSE | {"lasts": "1 h"}], "faults[0].lasts: longer than the run"),
        ([PAUSE | {"of": "redis"}], "faults[0].of: there is no Redis in this run"),
        ([PAUSE, PAUSE | {"fault": "kill", "at": "1500 ms"}], "the target is still down from an earlier fault"),
        ([PAUSE | {"fault": "kill", "of": "redis"}], "faults[0].of: there is no Redis in this run"),
        ([PAUSE | {"fault": "bandwidth", "rate": "10 rps"}], "a bandwidth like '100 kB/s'"),
        ([PAUSE | {"fault": "latency"}], "faults[0].latency: missing"),
        ([PAUSE | {"fault": "latency", "latency": "1 s", "at": "1"}], "faults[0].at: not understood, got '1'"),
        ([PAUSE | {"fault": "latency", "latency": "1"}], "faults[0].latency: not understood, got '1'"),
        ([PAUSE | {"latency": "1 s"}], "faults[0].latency: unknown key"),
        ([BACKUP, BACKUP | {"at": "1 s"}], "an earlier backup may still be going on"),
        ([BACKUP | {"of": "redis"}], "faults[0].of: not accepted, got 'redis'"),
        ([PAUSE | {"fault": "command"}], "faults[0].name: missing"),
        ([PAUSE | {"fault": "command", "name": "restore"}], "faults[0].name: a command of backups, got 'restore'"),
        ([PAUSE | {"fault": "command", "name": "a", "undo": "b c"}], "faults[0].undo: not accepted"),
    ],
)
def test_a_fault_that_cannot_happen_is_refused(faults, reported):
    """With its place and the remedy."""
    with pytest.raises(InputError) as refused:
        checked(*faults)
    assert reported in str(refused.value)


def test_a_process_may_fail_again_once_it_is_back_and_network_faults_may_overlap():
    """Back to back is not an overlap, and Redis is another process."""
    latency = {"fault": "latency", "phase": "steady", "lasts": "2 s", "latency": "1 ms"}
    again = PAUSE | {"fault": "kill", "at": "2 s"}
    checked(PAUSE, again, latency, {**latency}, PAUSE | {"of": "redis"}, settings={"limiter": "redis"})


def test_an_audit_of_a_backup_that_nobody_takes_is_refused():
    """It would always be inconclusive."""
    thresholds = [{"audit": "backup"}, *QUICK["thresholds"]]
    told = r"thresholds\[0\].audit: the backup audit needs a backup, but the scenario takes none"
    with pytest.raises(InputError, match=told):
        checked(PAUSE, thresholds=thresholds)
    checked(BACKUP | {"at": "1 s"}, thresholds=thresholds)
