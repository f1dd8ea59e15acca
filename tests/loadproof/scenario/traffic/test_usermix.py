"""Disguised users: what a mix may say about them, and what contradicts the rest of the scenario."""

from __future__ import annotations

import pytest
import yaml

from loadproof.errors import InputError
from loadproof.scenario.document import parse_yaml
from loadproof.scenario.loading import check_scenario
from loadproof.scenario.scenario import Scenario
from tests.commands import QUICK, in_process, scenario_file

BALANCE = {"share": "50 %", "every": "1 s"}
CLOSED = {"thresholds": [{"expect": "goodput_ratio >= 50 %"}]}
OPEN = CLOSED | {
    "model": "open",
    "client_count": 10,
    "phases": [{"name": "flat", "duration": "9 s", "rate": "9 rps"}],
}


def checked(other: dict[str, object], plan: dict[str, object] = CLOSED, **more: object) -> Scenario:
    pace = {} if plan is OPEN else {"every": "1 s"}
    mix = {"balance": {"share": "50 %", **pace}, "other": {"like": "balance", "share": "50 %", **pace, **other}, **more}
    return check_scenario(parse_yaml(yaml.safe_dump(QUICK | plan | {"mix": mix}), "quick.yaml"))


@pytest.mark.parametrize(
    ("other", "plan"),
    [
        ({"user_agents": ["sqlmap/1", ""], "expect": [401, 403]}, CLOSED),
        ({"addresses": "127.129.0.0/16", "evades": ["path", "method", "headers", "connection"]}, CLOSED),
        ({"clients": 1, "addresses": "127.129.0.1"}, OPEN),
    ],
)
def test_disguised_users_survive_a_round_trip(other, plan):
    scenario = checked(other, plan)
    assert Scenario.model_validate(scenario.model_dump(mode="json")) == scenario


@pytest.mark.parametrize(
    ("other", "plan", "reported"),
    [
        ({"like": "other"}, CLOSED, "mix.other.like: not a kind of user with requests of its own, got 'other'"),
        ({"clients": 3}, CLOSED, "mix.other.clients: no effect in the closed model"),
        ({"clients": 3}, OPEN | {"clients": "shared"}, "mix.other.clients: no effect with `clients: shared`"),
        ({"evades": ["path"], "expect": 403}, CLOSED, "mix.other.expect: no effect together with `evades`"),
        ({"evades": ["magic"]}, CLOSED, "mix.other.evades[0]: not accepted, got 'magic'"),
        ({"addresses": "127.1.0.0/16"}, CLOSED, "mix.other.addresses: not in 127.128.0.0/9"),
        ({"addresses": "::1"}, CLOSED, "mix.other.addresses: not in 127.128.0.0/9"),
        ({"addresses": "127.129.0.0/16"}, CLOSED | {"clients": "shared"}, "mix.other.addresses: clients have none"),
        ({"addresses": "127.129.0.0/16"}, OPEN, "mix.other.addresses: addresses for clients that all kinds share"),
        ({"addresses": "127.129.0.0/30", "clients": 3}, OPEN, "mix.other.addresses: fewer addresses than 3 clients"),
        (
            {"evades": ["headers"]},
            CLOSED | {"clients": {"header": "x-real-ip"}},
            "mix.other.evades: the header by which the target tells clients apart would be sent twice, got 'x-real-ip'",
        ),
    ],
)
def test_contradictions_with_the_rest_of_the_scenario_are_refused(other, plan, reported):
    with pytest.raises(InputError) as refused:
        checked(other, plan)
    assert reported in str(refused.value)


def test_no_two_kinds_have_the_same_addresses():
    third = {"third": {"like": "balance", "share": "1 %", "every": "1 s", "addresses": "127.129.1.0/24"}}
    with pytest.raises(InputError, match=r"mix.third.addresses: other has some of them, too, got '127.129.1.0/24'"):
        checked({"addresses": "127.129.0.0/16"}, **third)


@pytest.mark.process
def test_users_can_only_be_like_existing_ones(tmp_path):
    """And their name must not be taken."""
    mix = {"balance": BALANCE, "flood": BALANCE | {"like": "balanse"}}
    told = in_process("check", scenario_file(tmp_path, mix=mix, **CLOSED)).stderr
    assert "mix.flood.like: no such file in locustfiles/, got 'balanse'; did you mean 'balance'?" in told
    mix = {"balance": BALANCE, "health": BALANCE | {"like": "balance"}}
    told = in_process("check", scenario_file(tmp_path, mix=mix, **CLOSED)).stderr
    assert "mix.health: locustfiles/ already has a health.py, with other users, got 'like balance'" in told
