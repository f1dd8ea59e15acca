"""The balance user written for stock Locust, with loadproof's checks, for each of Locust's HTTP clients."""

import os

from locust import FastHttpUser, HttpUser, constant, constant_throughput, events, task

import loadproof

ACCOUNT = "acct-000000"
RATE = os.environ.get("BENCH_RATE")
"""Requests per second and user; None: no pauses."""
WAIT_TIME = constant_throughput(float(RATE)) if RATE else constant(0)


@task
def read(user):
    with user.client.get(f"/balance/{ACCOUNT}", name="balance", catch_response=True) as response:
        if response.status_code != 200:
            response.failure(f"status {response.status_code}")
            return
        body = response.json()
        if body["account"] != ACCOUNT or body["balance"] < 0:
            response.failure("not this account's balance")
        elif user.known_balance not in {None, body["balance"]}:
            response.failure("changed without a transaction")
        user.known_balance = body["balance"]


CLIENTS = {"requests": HttpUser, "fasthttp": FastHttpUser, "loadproof": loadproof.HttpUser}


class Balance(CLIENTS[os.environ["BENCH_CLIENT"]]):
    wait_time = WAIT_TIME
    known_balance = None
    tasks = [read]


@events.quitting.add_listener
def tell(environment, **_):
    """Print one line: requests per second while all users are running, and failures."""
    total = environment.stats.total
    seconds = total.last_request_timestamp - total.start_time
    print(f"RATE {total.num_requests / seconds:.1f} FAILURES {total.num_failures}")
