"""Hostile neighbours that interfere with a run's processes, port, machine and disk."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

from bench.adversary import deeds
from bench.adversary.case import FAIL, INCONCLUSIVE, INVALID, PASS, REFUSED, Case
from bench.adversary.deeds import CANARY, SECRET
from bench.adversary.play import During, running
from bench.adversary.scenarios import closed, of
from bench.adversary.scripts import only, says, share


def _beside(kind: str, name: str, tries: str, *right: str, **run: Any) -> Case:
    return running(kind, name, tries, right=right, **run)


def _can_unshare() -> bool:
    """Whether namespaces can be created: that needs root, or a kernel that lets anyone do it."""
    done = subprocess.run(["unshare", "-nm", "true"], check=False, capture_output=True)
    return done.returncode == 0


def _shell(script: str, *unshared: str) -> tuple[str, ...]:
    """A prefix that runs the command as "$@" of a shell script; its last argument is the reports' directory."""
    return (*unshared, "bash", "-c", script, "bash")


TWO = ("--workers", 2)
LONGER = closed(phases=[{"name": "steady", "duration": "8 s", "users": 20}])
ERROR = says('{"title": "broken"}', 500)
FAILING = only(share(0.9), ERROR)
# SIOCSIFFLAGS with IFF_UP and IFF_RUNNING: in a new network namespace, loopback is down.
LOOPBACK_UP = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 0x41))"
FEW_PORTS = _shell(
    f'python3 -c "{LOOPBACK_UP}" && echo 40000 40019 > /proc/sys/net/ipv4/ip_local_port_range && exec "$@"',
    "unshare",
    "-n",
)
SMALL_DISK = _shell(
    'out="${@: -1}"; mkdir -p "$out" && mount -t tmpfs -o size=1m tiny "$out" && exec "$@"', "unshare", "-m"
)
LISTENS = ("--listen", "127.0.0.1:PORT", "--workers", 1, "--wait", 40)
KNOWS = {"LOADPROOF_SECRET": SECRET}
JOINS = During(deeds.worker(), None)
BEARER = "base_url: URL\nheaders: {Authorization: 'Bearer ${TOKEN}'}\n"
WORKERS_BEARER = BEARER.replace("TOKEN", "WORKER_CANARY")
MANY_PORTS = {
    "mix": of("health", every="1 s")["mix"],
    "clients": "shared",
    "phases": [{"name": "steady", "duration": "6 s", "users": 100}],
    "settings": {"limiter": "off"},
}

GENERATOR = (
    _beside(
        "the generator ends early",
        "a worker is killed",
        "SIGKILL to one of two",
        INVALID,
        options=TWO,
        during=(During(deeds.signals(signal.SIGKILL, to="--worker", most=1)),),
    ),
    _beside(
        "the generator ends early",
        "SIGTERM to all workers",
        "as Docker and Kubernetes do",
        INVALID,
        options=TWO,
        during=(During(deeds.signals(signal.SIGTERM, to="--worker")),),
    ),
    _beside(
        "the generator ends early",
        "SIGINT to Locust",
        "it exits cleanly after a third of the plan",
        INVALID,
        during=(During(deeds.signals(signal.SIGINT, to="locust")),),
    ),
    _beside(
        "the generator ends early",
        "SIGKILL to Locust",
        "it disappears",
        INVALID,
        during=(During(deeds.signals(signal.SIGKILL, to="locust")),),
    ),
    _beside(
        "the generator stalls",
        "stopped for 2 s",
        "SIGSTOP, then SIGCONT",
        INVALID,
        during=(During(deeds.stops(2.0)),),
        scenario=LONGER,
    ),
    _beside(
        "the generator stalls",
        "generator and target stopped together",
        "for 0.9 of 6 s: the missing requests must be noticed",
        INVALID,
        during=(During(deeds.stops(0.9, target=True)),),
    ),
    _beside(
        "the generator stalls",
        "stopped for 0.3 s, five times",
        "each time for less than a second",
        INVALID,
        during=tuple(During(deeds.stops(0.3), 1.0 + number) for number in range(5)),
        scenario=LONGER,
    ),
    _beside(
        "the generator runs out",
        "out of open files",
        "60 files for 200 users",
        INVALID,
        REFUSED,
        under=("prlimit", "--nofile=60:60"),
        scenario=closed(phases=[{"name": "steady", "duration": "6 s", "users": 200}]),
    ),
    _beside(
        "the generator runs out",
        "out of ports",
        "20 ports for 100 connections",
        INVALID,
        REFUSED,
        embedded=True,
        under=FEW_PORTS,
        scenario=closed(**MANY_PORTS),
        needs=_can_unshare,
    ),
    _beside(
        "the generator runs out",
        "out of memory",
        "700 MB of address space: it ends in bounded time",
        INVALID,
        REFUSED,
        PASS,
        INCONCLUSIVE,
        under=("prlimit", "--as=700000000"),
    ),
    _beside(
        "the generator runs out",
        "disk full",
        "the disk is full from second 2 on",
        INVALID,
        under=SMALL_DISK,
        during=(During(deeds.fills_the_disk),),
        needs=_can_unshare,
    ),
)
STRANGERS = (
    _beside(
        "strangers at the master's port",
        "a stranger sends every worker message",
        "to the master of a good target",
        PASS,
        options=TWO,
        scenario=LONGER,
        during=(During(deeds.imitates),),
    ),
    _beside(
        "strangers at the master's port",
        "a stranger reports success for a bad target",
        "90 % of the requests fail",
        FAIL,
        options=TWO,
        scenario=LONGER,
        script=FAILING,
        during=(During(deeds.imitates),),
    ),
    _beside(
        "strangers at the master's port",
        "a stranger from the start",
        "connects before the workers do",
        PASS,
        options=TWO,
        scenario=LONGER,
        during=(During(deeds.imitates_early, None),),
    ),
    _beside(
        "workers",
        "a worker with the secret",
        "one worker joins and does all the work",
        PASS,
        options=LISTENS,
        environment=KNOWS,
        during=(JOINS,),
    ),
    _beside(
        "workers",
        "a worker with another secret",
        "no worker with the right secret joins",
        REFUSED,
        INVALID,
        options=("--listen", "127.0.0.1:PORT", "--workers", 1, "--wait", 8),
        environment=KNOWS,
        during=(During(deeds.worker("ab" * 32), None),),
    ),
    _beside(
        "workers",
        "a worker that arrives late",
        "it waits for the next run",
        PASS,
        options=LISTENS,
        environment=KNOWS,
        scenario=LONGER,
        during=(JOINS, During(deeds.worker())),
    ),
    _beside(
        "workers",
        "a variable that the worker's owner did not allow",
        "the master names it in a header",
        INVALID,
        REFUSED,
        options=LISTENS,
        environment={**KNOWS, "WORKER_CANARY": "of-the-master"},
        target=WORKERS_BEARER,
        during=(JOINS,),
        also=(deeds.not_sent(CANARY),),
    ),
)
CASES = GENERATOR + STRANGERS
