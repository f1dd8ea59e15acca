"""Users' own locustfiles that hide what the target does, or that requests were never sent."""

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
    _habit("half of the turns", "every second task returns without sending", _HALF, users.ITEMS),
    _habit(
        "half of the arrivals",
        "one task sends two requests, another none",
        *(users.ITEMS, users.ITEMS),
        more="\n    @task\n    def idle(self):\n        pass\n",
        scenario=_OPEN,
    ),
    _habit(
        "half of every burst",
        "bursts of twenty users become bursts of ten",
        *(_HALF, users.ITEMS),
        scenario=closed(
            mix=users.SHOP_MIX,
            phases=[{"name": "bursts", "users": 20, "burst": {"times": 6, "every": "1 s"}}],
        ),
    ),
    _habit(
        "sent in the background",
        f"by a greenlet that no task waits for; the limit is 100 ms, the true time {_SLOW_S:g} s",
        users.GET.format(path="/items").replace("self.send(", "gevent.spawn(self.send, "),
        kind="times from another turn",
        right=(INVALID, FAIL),
        scenario=_STRICT,
        script=only(always, delayed(_SLOW_S)),
    ),
    _habit(
        "an account that never arrives",
        "every second user waits forever in its on_start",
        more=users.method("on_start", "if self.identity.index % 2: gevent.sleep(3600)"),
        kind="users that never start",
    ),
    _habit(
        "patience of 300 ms",
        "the users' own code gives up on slower requests, a quarter of all",
        f"with gevent.Timeout(0.3, False): {users.ITEMS}",
        kind="abandoned by the user's code",
        right=(FAIL,),
        script=only(share(0.25), delayed(1.0)),
    ),
    _habit(
        "a check that returns False",
        "without raising an exception",
        'self.send(self.api.call("GET", "/items"), lambda reply: reply["status"] == "ok")',
        kind="checks that decide nothing",
        right=(FAIL,),
        script=only(paths("/items"), says('{"status": "no"}')),
    ),
    _habit(
        "a check that never runs",
        "it is a coroutine",
        'async def check(reply): expect(reply["status"] == "ok", "no")',
        'self.send(self.api.call("GET", "/items"), check)',
        kind="checks that decide nothing",
        right=(FAIL,),
        script=only(paths("/items"), says('{"status": "no"}')),
    ),
    _habit(
        "two at a time",
        "a task sends two requests concurrently and waits for both",
        f"ask = lambda: {users.ITEMS}",
        "gevent.joinall([gevent.spawn(ask), gevent.spawn(ask)])",
        kind="concurrent requests",
        right=(PASS,),
    ),
)
