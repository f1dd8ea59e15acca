"""Clients, payloads, signatures: the same for the same index and seed."""

from __future__ import annotations

import base64
import ipaddress

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from loadproof.api.payloads import encode_json, make_payloads
from loadproof.api.signing import new_webhook_secret, standard_headers
from loadproof.plan.clients import (
    ACCOUNTS_PER_CLIENT,
    clients_of,
    highest_client_index,
    make_client,
    own_address,
    source_address,
    users_allowed,
)
from payments_api.settings import DEVELOPMENT_SECRET
from simulation.rundirs import open_scenario, scenario


@given(st.integers(0, 400_000), st.integers(0, 400_000))
def test_every_client_has_its_own_loopback_address(one, other):
    """Not 127.0.0.1, which everything else uses."""
    address = ipaddress.ip_address(source_address(one))
    assert address.is_loopback
    assert address not in ipaddress.ip_network("127.0.0.0/16")
    assert (source_address(one) == source_address(other)) == (one == other)


def test_clients_share_no_accounts_and_are_reproducible():
    """Accounts, and streams of random choices."""
    clients = [make_client(index, seed=7, by_address=True) for index in range(100)]
    accounts = [name for client in clients for name in (client.read_account, *client.paying_accounts)]
    assert len(set(accounts)) == 100 * ACCOUNTS_PER_CLIENT
    again = make_client(42, seed=7, by_address=True)
    assert again == clients[42]
    assert again.random("pay").random() == clients[42].random("pay").random() != clients[43].random("pay").random()
    assert again.random("pay").random() != again.random("read").random()
    assert make_client(1, seed=7, by_address=False).address is None


def test_given_accounts_are_shared_but_none_is_both_read_and_paid_from():
    """However few they are: nobody pays from or to an account whose balance somebody reads."""
    ids = [f"acc{number}" for number in range(7)]
    clients = [make_client(index, seed=1, by_address=False, account_ids=ids) for index in range(20)]
    read = {client.read_account for client in clients}
    paying = {account for client in clients for account in client.paying_accounts}
    assert read == {"acc0", "acc3"}
    assert paying == {"acc1", "acc2", "acc4", "acc5"}


def test_the_highest_index_covers_both_models():
    """So that the embedded target has accounts for all clients."""
    assert highest_client_index(scenario()) == 399
    plan = scenario(
        model="open",
        client_count=9,
        phases=[{"name": "flat", "duration": "9 s", "rate": "9 rps"}],
        thresholds=[{"expect": "goodput > 1 rps"}],
    )
    assert highest_client_index(plan) == 8


OPEN = {
    "model": "open",
    "client_count": 4,
    "phases": [{"name": "flat", "duration": "9 s", "rate": "9 rps"}],
    "thresholds": [{"expect": "goodput > 1 rps"}],
}
FLOOD = {
    "balance": {"share": "40 %"},
    "flood": {"like": "balance", "share": "30 %", "clients": 1, "addresses": "127.129.0.5/32"},
    "others": {"like": "balance", "share": "30 %", "clients": 3, "addresses": "127.130.0.0/30"},
}


def test_a_kind_of_user_may_have_its_own_clients_and_addresses():
    """Its clients come after the shared ones; a network of four addresses has two for clients."""
    plan = scenario(**OPEN, mix=FLOOD)
    assert [clients_of(kind, plan) for kind in FLOOD] == [range(4), range(4, 5), range(5, 8)]
    assert (plan.client_total, highest_client_index(plan)) == (8, 7)
    assert [own_address(index, plan) for index in range(3, 8)] == [
        None,
        "127.129.0.5",
        "127.130.0.1",
        "127.130.0.2",
        "127.130.0.1",
    ]
    assert own_address(0, scenario()) is None
    mix = {"balance": {"share": "50 %"}, "denied": {"like": "balance", "share": "50 %", "addresses": "127.129.0.0/16"}}
    closed = scenario(mix={kind: {**of_kind, "every": "1 s"} for kind, of_kind in mix.items()})
    assert [own_address(index, closed) for index in range(4)] == [None, "127.129.0.1", None, "127.129.0.2"]


def test_users_that_are_like_others_count_against_the_same_limit():
    plan = scenario(**OPEN, mix=FLOOD)
    assert [plan.limit_of(name) for name in ("balance", "flood", "health")] == ["balance", "balance", "health"]
    assert plan.spenders_of("balance") == ("balance", "flood", "others")


def test_leaving_users_and_their_replacements_may_overlap():
    """A user waiting for an answer leaves only after it; where users only arrive, there are as many as planned."""
    steady = {"name": "a", "duration": "9 s", "users": 10}
    more, fewer = steady | {"name": "b", "users": 20}, steady | {"name": "c", "users": 5}
    goodput = [{"expect": "goodput > 1 rps"}]
    assert highest_client_index(scenario(phases=[steady, more], thresholds=goodput)) == 20 * 4 - 1
    assert highest_client_index(scenario(phases=[steady, more, fewer], thresholds=goodput)) == 2 * 20 * 4 - 1


def test_users_of_several_falls_may_be_leaving_at_a_time():
    """As long as their answers may take, 13 s here; each fall is of 15 users."""
    low, high = ({"name": name, "duration": "3 s", "users": users} for name, users in (("low", 5), ("high", 20)))
    phases = [of | {"name": f"{of['name']}{number}"} for number in range(8) for of in (high, low)]
    plan = scenario(phases=phases, thresholds=[{"expect": "goodput > 1 rps"}])
    assert plan.timeouts.stop_s == 13
    assert highest_client_index(plan) == (20 + 3 * 15) * 4 - 1


@pytest.mark.slow
def test_payloads_are_the_same_for_the_same_seed():
    """They are created before the load starts."""
    assert make_payloads(3, size=5) == make_payloads(3, size=5) != make_payloads(4, size=5)
    assert all(payment.amount > 0 for payment in make_payloads(3, size=5).payments)
    assert encode_json({"a": [1, "b"]}) == b'{"a":[1,"b"]}'


def test_secrets_are_fresh_and_have_the_specified_form():
    """whsec_ and 24 bytes in base64."""
    assert len(base64.b64decode(new_webhook_secret().removeprefix("whsec_"))) == 24
    assert new_webhook_secret() != new_webhook_secret()


@pytest.mark.process
def test_the_target_accepts_our_signature(shared_target):
    """Two implementations of the specification agree."""
    headers = standard_headers("evt_signed", b'{"a":1}', DEVELOPMENT_SECRET)
    url = f"{shared_target.url}/webhooks/standard"
    assert requests.post(url, data=b'{"a":1}', headers=headers, timeout=5).status_code == 202


@given(st.integers(1, 9), st.integers(1, 300), st.integers(1, 2000))
def test_all_workers_together_have_all_the_users_that_are_allowed(workers, clients, most):
    """At least, since each part is rounded up."""
    plan = open_scenario(client_count=clients, max_in_flight=most)
    parts = [users_allowed(plan, rank, workers) for rank in range(workers)]
    assert most <= sum(parts) < most + workers


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"client_count": 50}, [500, 500]),
        # Two thirds of the arrivals belong to clients 0 and 2.
        ({"client_count": 3}, [667, 334]),
        ({"client_count": 1}, [1000, 0]),
        # Half of the arrivals belong to client 50 alone.
        (
            {"client_count": 50, "mix": {"balance": {"share": "50 %"}, "health": {"share": "50 %", "clients": 1}}},
            [750, 250],
        ),
    ],
)
def test_a_worker_may_have_as_many_users_as_it_has_arrivals(changes, parts):
    """With an equal part, a worker with all the clients would drop arrivals that the scenario allows."""
    assert [users_allowed(open_scenario(**changes), rank, 2) for rank in range(2)] == parts
