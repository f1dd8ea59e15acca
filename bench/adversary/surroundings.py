"""Trouble around a run: signals to the command, closed outputs, secrets, the embedded target."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from bench.adversary import deeds, users
from bench.adversary.bank import Answer, Honest
from bench.adversary.case import FAIL, PASS, Case
from bench.adversary.deeds import CANARY
from bench.adversary.play import During, running
from bench.adversary.scenarios import closed, of, open_
from bench.adversary.scripts import always, calls, only, paths, says, share
from bench.serving import ROOT

if TYPE_CHECKING:
    from bench.adversary.wire import Request, Wire


def _beside(kind: str, name: str, tries: str, *right: str, **run: Any) -> Case:
    return running(kind, name, tries, right=right, **run)


async def _echo(request: Request, wire: Wire, _: Honest) -> None:
    """An error page that shows the request."""
    await wire.send(Answer({"you sent": dict(request.headers)}, 500).whole())


def _shell(script: str, *unshared: str) -> tuple[str, ...]:
    """A prefix that runs the command as "$@" of a shell script; its last argument is the reports' directory."""
    return (*unshared, "bash", "-c", script, "bash")


ERROR = says('{"title": "broken"}', 500)
FAILING = only(share(0.9), ERROR)
# SIOCSIFFLAGS with IFF_UP and IFF_RUNNING: in a new network namespace, loopback is down.
BEARER = "base_url: URL\nheaders: {Authorization: 'Bearer ${TOKEN}'}\n"
ENDINGS = (
    _beside(
        "interrupted",
        "Ctrl-C",
        "a report of the data so far, and the signal's exit code",
        "exit 130",
        during=(During(deeds.signals_command(signal.SIGINT)),),
    ),
    _beside("interrupted", "SIGTERM", "the same", "exit 143", during=(During(deeds.signals_command(signal.SIGTERM)),)),
    _beside(
        "interrupted",
        "SIGHUP",
        "a closed terminal or a dropped SSH connection: the same",
        "exit 143",
        during=(During(deeds.signals_command(signal.SIGHUP)),),
    ),
    _beside(
        "interrupted",
        "SIGHUP under nohup",
        "the run continues without its terminal",
        PASS,
        under=("nohup",),
        during=(During(deeds.signals_command(signal.SIGHUP)),),
    ),
    _beside(
        "interrupted",
        "a gate is interrupted",
        "during its first scenario",
        "exit 130",
        command=("gate",),
        during=(During(deeds.signals_command(signal.SIGINT)),),
    ),
    _beside(
        "interrupted",
        "a gate is interrupted at its end",
        "while the first of two runs is being judged",
        "exit 130",
        command=("gate",),
        options=(ROOT / "scenarios/smoke.yaml",),
        during=(During(deeds.signals_command(signal.SIGINT), 7.5),),
    ),
    _beside("gates", "a gate of a good target", "one scenario", PASS, command=("gate",)),
    _beside(
        "gates",
        "a gate of a bad target, --inconclusive pass",
        "the option excuses no failure",
        FAIL,
        command=("gate",),
        options=("--inconclusive", "pass"),
        script=FAILING,
    ),
    _beside(
        "closed or limited outputs",
        "a reader that goes away",
        "run … | head -n 1",
        PASS,
        under=_shell('"$@" > >(head -n 1) 2>&1'),
    ),
    _beside(
        "closed or limited outputs", "a full disk behind >", "run … > /dev/full", PASS, under=_shell('"$@" > /dev/full')
    ),
    _beside(
        "closed or limited outputs",
        "no UTF-8",
        "LC_ALL=C without Python's UTF-8 mode",
        PASS,
        environment={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
)
SECRETS = (
    _beside(
        "secrets",
        "a target that echoes a secret",
        "every error page shows it",
        FAIL,
        script=only(always, calls(_echo)),
        target=BEARER,
        environment={"TOKEN": CANARY},
        never=(deeds.leaks(CANARY),),
    ),
    _beside(
        "secrets",
        "netrc",
        "a password for this host in the home directory",
        PASS,
        around={"home/.netrc": f"default login me password {CANARY}\n"},
        environment={"NETRC": "home/.netrc", "HOME": "home"},
        also=(deeds.not_sent("Basic"),),
    ),
    _beside(
        "secrets",
        "the secret of a good target",
        "it is sent, but written nowhere",
        PASS,
        target=BEARER,
        environment={"TOKEN": CANARY},
        never=(deeds.leaks(CANARY),),
    ),
    _beside(
        "deliberate faults",
        "FAULTS in the environment",
        "most of the embedded target's payments fail, and the run says why",
        FAIL,
        embedded=True,
        environment={"FAULTS": '{"transactions": {"error_ratio": 0.9}}'},
        scenario=closed(settings={"limiter": "off"}),
        also=(deeds.tells("FAULTS"),),
    ),
    _beside(
        "embedded target",
        "the embedded target",
        "with its default behaviour",
        PASS,
        embedded=True,
        scenario=closed(settings={"limiter": "off"}),
    ),
    _beside(
        "embedded target",
        "users who go and come again",
        "a load that rises, falls and rises again: the target has accounts for as many users as there are at a time",
        PASS,
        embedded=True,
        scenario=of("balance")
        | {
            "settings": {"limiter": "off"},
            "phases": [
                {"name": "high", "duration": "4 s", "users": 20},
                {"name": "low", "duration": "3 s", "users": 2},
                {"name": "high-again", "duration": "5 s", "users": 20},
            ],
        },
    ),
    _beside(
        "embedded target",
        "the embedded target, open",
        "the same in the open model",
        PASS,
        embedded=True,
        scenario=open_(settings={"limiter": "off"}),
    ),
)
_BROKEN_CART = only(paths("/cart"), ERROR)
LOCUSTS_SETTINGS = tuple(
    _beside(
        "Locust's own settings",
        name,
        f"{tries}: the broken task must run all the same",
        FAIL,
        script=_BROKEN_CART,
        users={"shop": users.TAGGED},
        scenario=closed(mix=users.SHOP_MIX),
        also=(deeds.tells("ignored"),),
        **run,
    )
    for name, tries, run in (
        ("LOCUST_EXCLUDE_TAGS", "in the environment", {"environment": {"LOCUST_EXCLUDE_TAGS": "slow"}}),
        (
            "LOCUST_EXCLUDE_TAGS, two workers",
            "in the environment of workers, too",
            {"environment": {"LOCUST_EXCLUDE_TAGS": "slow"}, "options": ("--workers", "2")},
        ),
        (
            "a user's weight by LOCUST_CONFIG_USERS",
            "in the environment, a list of tasks",
            {"environment": {"LOCUST_CONFIG_USERS": '[{"user_class_name": "Shopper", "tasks": ["ask"]}]'}},
        ),
        (
            "locust.conf at home",
            "exclude-tags in ~/.locust.conf",
            {"environment": {"HOME": "home"}, "around": {"home/.locust.conf": "exclude-tags = slow\n"}},
        ),
    )
)
CASES = ENDINGS + SECRETS + LOCUSTS_SETTINGS
