"""What the users of this process share: the plan, the clients, the payloads, the connections, the recorder.

`loadproof run` names a run directory in the environment; without one (plain `locust -f locustfiles`) the
users keep the default pace and nothing is recorded beside Locust's own statistics.
"""

from __future__ import annotations

import functools
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from loadproof import rundir, variables
from loadproof.clients import Client, make_client
from loadproof.payloads import make_payloads
from loadproof.plan import Due, next_due, plan_phases
from loadproof.recorder import NoRecorder, Recorder
from loadproof.scenario import HeaderClients, Scenario
from loadproof.transport import ClientConnections, Connection, Origin

DEVELOPMENT_SECRET: Final = "whsec_bG9hZHByb29mLWRldmVsb3BtZW50LWtleQ=="  # noqa: S105 - public, and the target's default
_PLAIN_LOCUST: Final = {
    "name": "plain-locust",
    "model": "closed",
    "deadline": "1 s",
    "phases": [{"name": "all", "duration": "168 h", "users": 1}],
    "thresholds": [{"expect": "goodput_ratio >= 99 %"}],
}
"""Plain `locust -f locustfiles`: the default mix at its pace, for as long and with as many users as Locust is told."""
_PACE_BESIDE_THE_MIX_S: Final = 1.0
_CLIENTS_BESIDE_THE_MIX: Final = 40_000


class Workload:
    """One a process. Times are seconds from `begin()`; before it, from the making of the object."""

    def __init__(self, scenario: Scenario, *, seed: int, recorder: Recorder | NoRecorder) -> None:
        self.scenario = scenario
        self.spans = plan_phases(scenario)
        self.seed = seed
        self.recorder = recorder
        self.payloads = make_payloads(seed)
        self.webhook_secret = os.environ.get(variables.WEBHOOK_SECRET, DEVELOPMENT_SECRET)
        self._start_s = time.monotonic()
        self._made: dict[str, int] = defaultdict(int)
        self._connections: dict[int, ClientConnections] = {}

    def begin(self, delay_s: float) -> None:
        """Second 0 of the run is `delay_s` from now."""
        self._start_s = time.monotonic() + delay_s

    def now_s(self) -> float:
        return time.monotonic() - self._start_s

    def since_start_s(self, monotonic_s: float) -> float:
        return monotonic_s - self._start_s

    def every_s(self, endpoint: str) -> float:
        """The pace of this endpoint's users in the closed model."""
        mix = self.scenario.mix.get(endpoint)
        return (mix.every if mix else None) or _PACE_BESIDE_THE_MIX_S

    def next_due(self, endpoint: str, *, previous_s: float, offset_s: float) -> Due:
        """When a closed-model user sends next."""
        return next_due(
            self.spans,
            previous_s=previous_s,
            now_s=self.now_s(),
            every_s=self.every_s(endpoint),
            offset_s=offset_s,
        )

    def next_client(self, endpoint: str) -> Client:
        """The next client of this endpoint's users; endpoints take turns, so that no index is given twice."""
        endpoints = sorted(self.scenario.mix)
        number = self._made[endpoint]
        self._made[endpoint] += 1
        if endpoint not in endpoints:
            # Only plain Locust has users beside the mix; their clients begin far from the others'.
            return self.client(_CLIENTS_BESIDE_THE_MIX + number)
        return self.client(number * len(endpoints) + endpoints.index(endpoint))

    def client(self, index: int) -> Client:
        return make_client(index, seed=self.seed, by_address=self.scenario.clients == "source-address")

    def identity_headers(self, client: Client) -> dict[str, str]:
        clients = self.scenario.clients
        return {clients.header: f"client-{client.index}"} if isinstance(clients, HeaderClients) else {}

    def connections(self, client: Client, base_url: str) -> ClientConnections:
        if client.index not in self._connections:
            origin = Origin.of(base_url)
            timeouts = self.scenario.timeouts
            loopback = origin.host == "localhost" or origin.host.startswith("127.")
            self._connections[client.index] = ClientConnections(
                lambda: Connection(
                    origin,
                    connect_timeout_s=timeouts.connect,
                    total_timeout_s=timeouts.total,
                    source_address=client.address if loopback else None,
                )
            )
        return self._connections[client.index]


@functools.cache
def workload() -> Workload:
    """This process's workload, made on first use."""
    named = os.environ.get(variables.RUN)
    if named is None:
        return Workload(Scenario.model_validate(_PLAIN_LOCUST), seed=0, recorder=NoRecorder())
    run = Path(named)
    manifest = rundir.read_manifest(run)
    return Workload(manifest.scenario, seed=manifest.seed, recorder=Recorder(run, manifest))
