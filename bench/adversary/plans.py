"""Scenarios, locustfiles, target files and command lines that must be refused before the first packet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.adversary import users
from bench.adversary.case import INCONCLUSIVE, INVALID, REFUSED, Case, Check, Played
from bench.adversary.play import Run, running
from bench.adversary.scenarios import MIX, closed, of, open_
from bench.adversary.scripts import always, only, paths, says

CANARY = "s3cret-canary-91f4"
SHOP = closed(mix=users.SHOP_MIX)
NEITHER = (INVALID, INCONCLUSIVE)


def untouched(played: Played) -> Iterator[str]:
    """A refused command must not have sent anything."""
    if played.seen:
        yield f"{len(played.seen)} requests came before it was refused, {played.seen[0].path} first"


def says_why(*words: str) -> Check:
    def check(played: Played) -> Iterator[str]:
        if missing := [word for word in words if not played.told(word)]:
            yield f"the reason does not name {', '.join(missing)}"

    return check


def _refused(kind: str, name: str, tries: str, *words: str, **run: Any) -> Case:
    return Case(
        name=name, kind=kind, tries=tries, right=(REFUSED,), play=Run(**run), also=(untouched, says_why(*words))
    )


def _user(name: str, tries: str, text: str, *words: str, file: str = "shop", **run: Any) -> Case:
    """A locustfile that doesn't fit the mix."""
    return _refused("unusable locustfiles", name, tries, file, *words, users={file: text}, scenario=SHOP, **run)


def _misuser(
    name: str, tries: str, text: str, right: tuple[str, ...] = NEITHER, scenario: dict[str, Any] = SHOP
) -> Case:
    """A user class that doesn't do what was planned: the target is right and must not be blamed."""
    return Case(
        name=name,
        kind="users that misbehave",
        tries=tries,
        right=right,
        play=Run(users={"shop": text}, scenario=scenario),
    )


def _thresholds(*expects: str) -> dict[str, Any]:
    return closed(thresholds=[{"expect": expect} for expect in expects])


def _threshold(name: str, *expects: str, kind: str = "thresholds that decide nothing") -> Case:
    return _refused(kind, name, f"the threshold {expects[0]}", scenario=_thresholds(*expects))


GOODPUT = "goodput_ratio >= 80 %"
LOCUSTFILES = (
    _user("no such file", "the mix names an endpoint that has no file", users.file(endpoint="other"), file="other"),
    _user("an HttpUser", "a user class of Locust's own", users.HTTP_USER),
    _user("another endpoint's name", "the file shop defines a user of carts", users.file(endpoint="cart")),
    _user("two users for one endpoint", "a 50:50 mix would become 67:33", users.TWO),
    _user(
        "a wait_time",
        "the user has its own waits on top of the scenario's pace",
        users.file(more="    wait_time = between(1, 3)\n"),
    ),
    _user("a TaskSet", "the tasks are a class", users.TASK_SET),
    _user("a coroutine", "Locust calls it, but nobody awaits it", users.COROUTINE, "Shopper.pay", "coroutine"),
    _user("a generator", "Locust calls it, but nobody iterates over it", users.GENERATOR, "Shopper.pay", "generator"),
    _user(
        "an on_start that is a coroutine",
        "the login is never sent",
        users.file(more=users.method("on_start", "pass").replace("def ", "async def ")),
        "Shopper.on_start",
    ),
    _user("a shape class", "somebody else's load profile", users.SHAPE),
    _user("a syntax error", "not valid Python", "def f(:\n", "SyntaxError"),
    _user(
        "an import error",
        "imports a missing module",
        "import no_such_module_of_anybody\n",
        "no_such_module_of_anybody",
    ),
    _user("a file that exits", "raises SystemExit on import", "raise SystemExit(0)\n"),
    _user("no user at all", "an empty file", ""),
    _user("no task", "a user that does nothing", users.IMPORTS + 'class Shopper(ApiUser):\n    endpoint = "shop"\n'),
)
MISUSERS = (
    _misuser("a task that raises", "each task ends before it sends anything", users.file("raise ValueError('mine')")),
    _misuser("a task that sends nothing", "no requests at all", users.file("pass")),
    _misuser(
        "a task that sleeps",
        "each user spends a second in its own code",
        users.file(users.ITEMS, "time.sleep(1)"),
        (INVALID,),
    ),
    _misuser(
        "a task that computes",
        "blocks the event loop for 300 ms at a time",
        users.file(users.ITEMS, "end = time.monotonic() + 0.3", "while time.monotonic() < end: pass"),
        (INVALID,),
    ),
    _misuser(
        "an on_start that raises",
        "no user ever starts",
        users.file(more=users.method("on_start", "raise ValueError('mine')")),
    ),
    _misuser(
        "an on_start that raises, open",
        "the same in the open model, in bounded time",
        users.file(more=users.method("on_start", "raise ValueError('mine')")),
        (*NEITHER, REFUSED),
        open_(mix=users.OPEN_SHOP_MIX),
    ),
    _misuser(
        "a constructor that raises",
        "users can't be created",
        users.file(more="\n    def __init__(self, *a, **k):\n        raise ValueError('mine')\n"),
        (*NEITHER, REFUSED),
    ),
    _misuser(
        "a constructor that raises, open",
        "the same in the open model, in bounded time",
        users.file(more="\n    def __init__(self, *a, **k):\n        raise ValueError('mine')\n"),
        (*NEITHER, REFUSED),
        open_(mix=users.OPEN_SHOP_MIX),
    ),
    _misuser(
        "a user that stops itself",
        "stops after its first request, until no user is left",
        users.file(users.ITEMS, "self.stop()"),
        (INVALID, INCONCLUSIVE),
    ),
    _misuser(
        "a user that ends the run",
        "quits the runner after its first request",
        users.file(users.ITEMS, "self.environment.runner.quit()"),
        (INVALID, INCONCLUSIVE),
    ),
    _misuser(
        "a user that ends the process",
        "calls os._exit during the run",
        users.file(users.ITEMS, "import os", "os._exit(0)"),
        (INVALID,),
    ),
)
THRESHOLDS = (
    _threshold("goodput of 100 %", "goodput_ratio >= 100 %"),
    _threshold("no errors allowed", "error_ratio <= 0 %", GOODPUT),
    _threshold("less than no time", "p(95) < 0 ms", GOODPUT),
    _threshold("goodput of at least 0 %", "goodput_ratio >= 0 %"),
    _threshold("errors up to 100 %", "error_ratio <= 100 %", GOODPUT),
    _threshold("an objective as a fraction", "burn_rate(0.999) < 2 x", GOODPUT),
    _threshold("a percentile as a fraction", "p(0.95) < 200 ms", GOODPUT),
    _threshold("times of at least 200 ms", "p(90) > 200 ms", GOODPUT, kind="limits in the wrong direction"),
    _threshold("errors of more than 5 %", "error_ratio > 5 %", GOODPUT, kind="limits in the wrong direction"),
    _threshold("one good answer in a million", "goodput_ratio >= 0.0001 %", kind="no effective goodput threshold"),
    _threshold("one good answer in 1000 s", "goodput >= 0.001 rps", kind="no effective goodput threshold"),
    _threshold("no goodput threshold", "p(90) < 200 ms", kind="no effective goodput threshold"),
    _threshold("more than the samples can show", "p(99.9) < 200 ms", GOODPUT, kind="too few samples"),
    _threshold("a low percentile", "p(1) < 200 ms", GOODPUT, kind="too few samples"),
    _threshold("a bare number", "p(90) < 200", GOODPUT, kind="missing unit"),
    _refused(
        "thresholds that read nothing",
        "a threshold on warm-up",
        "thresholds never read warm-up",
        scenario=closed(
            phases=[
                {"name": "warm-up", "warm_up": True, "duration": "2 s", "users": 20},
                {"name": "steady", "duration": "4 s", "users": 20},
            ],
            thresholds=[{"phase": "warm-up", "expect": GOODPUT}],
        ),
    ),
    _refused(
        "no effective goodput threshold",
        "goodput of one endpoint",
        "another endpoint refuses everything",
        "transactions",
        scenario=of("balance", "transactions")
        | {
            "thresholds": [
                {"expect": "p(90) < 300 ms"},
                {"expect": "error_ratio < 10 %"},
                {"endpoint": "balance", "expect": GOODPUT},
            ]
        },
        script=only(paths("/transactions"), says('{"title": "no"}', 403)),
    ),
    _refused(
        "no effective goodput threshold",
        "goodput only relative to a baseline",
        "and the baseline may have had none",
        scenario=_thresholds("goodput_ratio >= 0.9 * baseline", "p(90) < 300 ms"),
        script=only(always, says('{"title": "no"}', 403)),
    ),
    _refused(
        "thresholds that read nothing",
        "a threshold on an unknown endpoint",
        "the mix does not have it",
        scenario=closed(thresholds=[{"endpoint": "carts", "expect": GOODPUT}]),
    ),
    _refused("thresholds that read nothing", "no thresholds", "an empty list", scenario=closed(thresholds=[])),
)
SCENARIOS = (
    _refused("keys without effect", "every in the open model", "arrivals have a rate already", scenario=open_(mix=MIX)),
    _refused(
        "keys without effect",
        "client_count in the closed model",
        "each user is a client already",
        scenario=closed(client_count=5),
    ),
    _refused(
        "keys without effect", "arrivals in the closed model", "users don't arrive", scenario=closed(arrivals="uniform")
    ),
    _refused("unknown keys", "a typing error", "tresholds instead of thresholds", scenario=closed(tresholds=[])),
    _refused(
        "no load",
        "zero users",
        "nothing would be sent",
        scenario=closed(phases=[{"name": "steady", "duration": "6 s", "users": 0}]),
    ),
    _refused(
        "no load",
        "shares of 90 %",
        "10 % are missing",
        scenario=closed(mix={"balance": {"share": "90 %", "every": "1 s"}}),
    ),
    _refused(
        "over declared limits",
        "more than the target file allows",
        "an honest target would throttle the plan",
        target="base_url: URL\nlimits: {balance: 30/min, health: 30/min, transactions: 10/min, webhooks: 5/min}\n",
    ),
)
HOSTS = tuple(
    _refused("hosts that are not allowed", f"host {name}", f"{url}", url=url)
    for name, url in (
        ("of the world", "http://192.0.2.1:9"),
        ("behind a user name", "http://127.0.0.1@192.0.2.1:9"),
        ("with loopback in its name", "http://127.0.0.1.example.invalid"),
        ("as a single number", "http://3221225985:9"),
        ("as an IPv6 address", "http://[::ffff:192.0.2.1]:9"),
    )
)
SECRETS = (
    _refused(
        "secrets in headers",
        "a line break in a secret",
        "would become a second header",
        "TOKEN",
        target="base_url: URL\nheaders: {Authorization: 'Bearer ${TOKEN}'}\n",
        environment={"TOKEN": f"{CANARY}\r\nX-Injected: 1"},
    ),
    _refused(
        "secrets in headers",
        "a line separator in a secret",
        "not valid in a header",
        "TOKEN",
        target="base_url: URL\nheaders: {Authorization: 'Bearer ${TOKEN}'}\n",
        environment={"TOKEN": f"{CANARY}\u2028"},
    ),
    _refused(
        "secrets in headers",
        "a variable that is not set",
        "an empty token would be sent",
        "NO_SUCH_TOKEN",
        target="base_url: URL\nheaders: {Authorization: 'Bearer ${NO_SUCH_TOKEN}'}\n",
    ),
)
COMMANDS = (
    _refused(
        "missing secret",
        "--listen without a secret",
        "any worker would be trusted",
        options=("--listen", "127.0.0.1:0"),
    ),
    running(
        "nowhere to write",
        "reports inside a file",
        "nothing could be stored",
        right=(REFUSED,),
        options=("--out", "/dev/null/reports"),
    ),
)
CASES = LOCUSTFILES + MISUSERS + THRESHOLDS + SCENARIOS + HOSTS + SECRETS + COMMANDS
