"""Locustfiles of somebody's own whose habits hide what the target does, or what was never sent to it."""

from __future__ import annotations

from typing import Any

from bench.adversary import users
from bench.adversary.case import FAIL, INVALID, PASS, Case
from bench.adversary.play import Run
from bench.adversary.scenarios import closed, open_
from bench.adversary.scripts import always, delayed, only, paths, says, share

_SLOW_S = 0.4
_CLOSED, _OPEN = closed(mix=users.SHOP_MIX), open_(mix=users.OPEN_SHOP_MIX)
_STRICT = closed(mix=users.SHOP_MIX, thresholds=[{"expect": "p(50) < 100 ms"}, {"expect": "goodput_ratio >= 80 %"}])
_HALF = "if self.random.random() < 0.5: return"


def _habit(
    name: str,
    tries: str,
    *tasks: str,
    more: str = "",
    kind: str = "turns that send nothing",
    right: tuple[str, ...] = (INVALID,),
    scenario: dict[str, Any] = _CLOSED,
    **run: Any,
) -> Case:
    text = users.file(*tasks, more=more)
    return Case(
        name=name, kind=kind, tries=tries, right=right, play=Run(users={"shop": text}, scenario=scenario, **run)
    )


CASES: tuple[Case, ...] = (
    _habit("half of the turns", "every second task returns at once", _HALF, users.ITEMS),
    _habit(
        "half of the arrivals",
        "one task sends two requests, another none",
        *(users.ITEMS, users.ITEMS),
        more="\n    @task\n    def idle(self):\n        pass\n",
        scenario=_OPEN,
    ),
    _habit(
        "half of each burst",
        "bursts of twenty users are bursts of ten",
        *(_HALF, users.ITEMS),
        scenario=closed(
            mix=users.SHOP_MIX,
            phases=[{"name": "bursts", "users": 20, "burst": {"times": 6, "every": "1 s"}}],
        ),
    ),
    _habit(
        "sent in the background",
        f"by a greenlet that no task waits for; the limit is 100 ms, the truth {_SLOW_S:g} s",
        users.GET.format(path="/items").replace("self.send(", "gevent.spawn(self.send, "),
        kind="times from another turn",
        right=(INVALID, FAIL),
        scenario=_STRICT,
        script=only(always, delayed(_SLOW_S)),
    ),
    _habit(
        "an account that never comes",
        "every second user waits in its on_start for ever",
        more=users.method("on_start", "if self.identity.index % 2: gevent.sleep(3600)"),
        kind="users that never begin",
    ),
    _habit(
        "patience of 300 ms",
        "the users' own code gives up what takes longer, a fifth of all",
        f"with gevent.Timeout(0.3, False): {users.ITEMS}",
        kind="requests that are given up",
        right=(FAIL,),
        script=only(share(0.25), delayed(1.0)),
    ),
    _habit(
        "a check that says False",
        "without an exception",
        'self.send(self.api.call("GET", "/items"), lambda reply: reply["status"] == "ok")',
        kind="checks that decide nothing",
        right=(FAIL,),
        script=only(paths("/items"), says('{"status": "no"}')),
    ),
    _habit(
        "a check that nobody runs",
        "it is a coroutine",
        'async def check(reply): expect(reply["status"] == "ok", "no")',
        'self.send(self.api.call("GET", "/items"), check)',
        kind="checks that decide nothing",
        right=(FAIL,),
        script=only(paths("/items"), says('{"status": "no"}')),
    ),
    _habit(
        "two at once",
        "requests that a task sends side by side, and waits for",
        f"ask = lambda: {users.ITEMS}",
        "gevent.joinall([gevent.spawn(ask), gevent.spawn(ask)])",
        kind="requests side by side",
        right=(PASS,),
    ),
)
