"""Honest targets that behave like real servers, and honest plans: each must PASS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.adversary import framings, manners, users
from bench.adversary.case import PASS, Case, Check, Played
from bench.adversary.play import Run
from bench.adversary.scenarios import closed, of, open_
from bench.adversary.scripts import (
    always,
    between,
    delayed,
    framed,
    in_pieces,
    only,
    says,
    share,
    throttles,
    twisted,
)


def _honest(name: str, tries: str, *, kind: str | None = None, also: tuple[Check, ...] = (), **run: Any) -> Case:
    return Case(name=name, kind=kind or name, tries=tries, right=(PASS,), play=Run(**run), also=also)


def _framed(name: str, tries: str, frame: Any, *, close: bool = False, **run: Any) -> Case:
    return _honest(name, tries, script=only(always, framed(frame, close=close)), **run)


def _as_many(least: int, most: int) -> Check:
    """The number of requests must be in this range, by the server's count and by ours."""

    def check(played: Played) -> Iterator[str]:
        sent = sum(played.outcomes().values())
        if not least <= len(played.load) <= most:
            yield f"{len(played.load)} requests came, planned are {least} to {most}"
        if not least <= sent <= most:
            yield f"{sent} requests told, planned are {least} to {most}"

    return check


def _new_ids(played: Played) -> Iterator[str]:
    """No payment key occurs in two runs, and only events that are resent on purpose occur twice."""
    for name, may_repeat in (("idempotency-key", 0.0), ("webhook-id", 0.35)):
        ids = [value for request in played.seen if (value := request.header(name))]
        if len(ids) - len(set(ids)) > may_repeat * len(ids):
            yield f"{name}: {len(ids) - len(set(ids))} of {len(ids)} had come before"


def _ramped(model: str) -> dict[str, Any]:
    load = {"closed": ("users", 20, 30), "open": ("rate", "80 rps", "40 rps")}[model]
    climb = {"name": "climb", "duration": "4 s", load[0]: load[1], "ramp": "3 s"}
    after = {"name": "after", "duration": "3 s", load[0]: load[2]}
    return (closed if model == "closed" else open_)(phases=[climb, after])


BURSTS = [
    {"name": "steady", "duration": "4 s", "users": 20},
    {"name": "bursts", "users": 20, "burst": {"times": 3, "every": "1 s"}},
]
THROTTLED = {
    "expect_throttling": True,
    "thresholds": [{"expect": "error_ratio < 5 %"}, {"expect": "goodput_ratio >= 50 %"}],
}
WAIT = (("Retry-After", "1"),)
REDIRECTED = "base_url: URL\nendpoints:\n" + "".join(
    f"  {name}: {{follow_redirects: true}}\n"
    for name in ("health", "balance", "transactions", "transaction", "webhooks")
)
ASKS_GZIP = "base_url: URL\nheaders: {Accept-Encoding: gzip}\n"
HOST_NAMED = "base_url: URL\nheaders: {host: pay.example.test, content-type: application/json}\n"
DEAD_PROXY = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LOGIN = {"shop": users.file(more=users.method("on_start", users.LOGIN))}
TWO_REQUESTS = {"shop": users.file(users.ITEMS, users.CART)}
SHOP, OPEN_SHOP = closed(mix=users.SHOP_MIX), open_(mix=users.OPEN_SHOP_MIX)
THREE = ("--workers", 3)

SERVERS = (
    _honest("plain", "keeps connections open and answers immediately"),
    _honest(
        "idle timeout equal to the pace",
        "closes connections that have been idle for as long as users pause",
        idle_s=0.2,
    ),
    _honest("idle timeout below the pace", "closes connections before users send again", idle_s=0.1),
    _honest(
        "408 on idle connections",
        "sends 408 on idle connections and closes them, as HAProxy does",
        idle_s=0.15,
        farewell=TIMED_OUT,
    ),
    _framed(
        "says close but stays open", "sends Connection: close and leaves the closing to the client", framings.closing
    ),
    _framed("closes every time", "announces and closes the connection after each answer", framings.closing, close=True),
    _honest(
        "closes unannounced",
        "closes after each answer without announcing it",
        script=only(always, framed(lambda a: a.whole(), close=True)),
    ),
    _honest(
        "three answers per connection",
        "closes after three answers and counts down in Keep-Alive: max",
        script=manners.three_a_connection,
    ),
    _honest("slow", "takes 120 ms per answer, well within the pace", script=only(always, delayed(0.12))),
    _honest("uneven", "takes 150 ms for every fifth answer", script=only(share(0.2), delayed(0.15))),
    _honest(
        "short pause",
        "one answer in ten is 400 ms late for one second",
        script=only(lambda r: between(2, 3)(r) and share(0.1)(r), delayed(0.4)),
    ),
    _framed("gzip", "compresses each answer, as requested", framings.gzipped, target=ASKS_GZIP),
    _framed(
        "gzip in two members",
        "a body of two gzip members, as some proxies send",
        framings.in_two_members,
        target=ASKS_GZIP,
    ),
    _framed("identity", "Content-Encoding: identity", framings.identity),
    _framed("chunked", "small chunks with extensions and a trailer", framings.chunked),
    _framed("HTTP/1.0", "no length; the body ends with the connection", framings.of_1996, close=True),
    _framed("HTTP/1.0 keep-alive", "keeps the connection open on request", framings.of_1996_kept),
    _framed("body until closed", "HTTP/1.1 bodies that end with the connection", framings.until_closed, close=True),
    _framed("early hints", "103 and 100 before each answer", framings.announced),
    _framed("unusual head", "no reason phrase, mixed case, tabs and empty values", framings.odd_head),
    _framed("folded header", "a value that continues on the next line", framings.folded),
    _honest(
        "in pieces", "each answer in four pieces, 5 ms apart", script=only(always, in_pieces(framings.in_four, 0.005))
    ),
    _honest(
        "60 KB answers",
        "bodies with a lot of extra data",
        script=only(always, twisted(framings.padded(60_000))),
        scenario=of("balance", "health"),
    ),
    _honest("redirects", "308 to another path, as the target file permits", script=manners.moved, target=REDIRECTED),
    _honest(
        "below a path",
        "a base URL with a path, as behind a gateway",
        script=manners.below_a_path,
        target="base_url: URL/api/v2\n",
    ),
    _honest(
        "a few errors",
        "one in 50 answers is a 500, a fifth of what is allowed",
        script=only(share(0.02), says("{}", 500)),
    ),
    _honest(
        "limits per address",
        "six requests per two seconds, which the plan respects",
        script=lambda: manners.limited(6, 2.0),
        scenario=of("balance", every="500 ms"),
    ),
)
THROTTLING = (
    _honest(
        "honest 429",
        "occasional 429 with Retry-After",
        script=throttles(share(0.05), WAIT),
        scenario=closed(**THROTTLED),
    ),
    _honest(
        "honest 503",
        "occasional 503 with Retry-After",
        kind="honest 429",
        script=throttles(share(0.05), WAIT, 503),
        scenario=closed(**THROTTLED),
    ),
    _honest(
        "honest limit exceeded",
        "a limit that the plan exceeds on purpose, enforced exactly",
        script=lambda: manners.limited(8, 2.0),
        scenario=of("balance", every="200 ms") | THROTTLED,
    ),
    _honest(
        "429 in the open model",
        "refuses one in twenty arrivals",
        script=throttles(share(0.05), WAIT),
        scenario=open_(**THROTTLED),
    ),
)
PLANS = (
    _honest("3 workers", "the plain target, loaded from three processes", options=THREE),
    _honest("3 workers, open", "the same in the open model", options=THREE, scenario=open_()),
    _honest(
        "3 workers, login",
        "each user logs in once, whichever worker runs it",
        options=THREE,
        users=LOGIN,
        scenario=SHOP,
        script=manners.asks_for_login,
    ),
    _honest("open, poisson", "Poisson arrivals", scenario=open_(), also=(_as_many(480, 480),)),
    _honest("open, uniform", "evenly spaced arrivals", scenario=open_(arrivals="uniform"), also=(_as_many(480, 480),)),
    _honest(
        "open, closes every time",
        "one connection per arrival",
        scenario=open_(),
        script=only(always, framed(framings.closing, close=True)),
    ),
    _honest(
        "open, slow", "120 ms per answer, many requests in flight", scenario=open_(), script=only(always, delayed(0.12))
    ),
    _honest("ramp, closed", "users start one after another", scenario=_ramped("closed")),
    _honest("ramp, open", "a rate that rises and then falls", scenario=_ramped("open")),
    _honest("bursts", "all users at the same instant, three times", scenario=closed(phases=BURSTS)),
    _honest(
        "bursts, closes every time",
        "new connections for each burst",
        scenario=closed(phases=BURSTS),
        script=only(always, framed(framings.closing, close=True)),
    ),
    _honest(
        "login in on_start",
        "401 for users who have not logged in",
        users=LOGIN,
        scenario=SHOP,
        script=manners.asks_for_login,
    ),
    _honest(
        "login in on_start, open",
        "the same in the open model",
        users=LOGIN,
        scenario=OPEN_SHOP,
        script=manners.asks_for_login,
    ),
    _honest("two requests per task", "one after another", users=TWO_REQUESTS, scenario=SHOP),
    _honest(
        "two requests per task, open",
        "twice as many requests as arrivals",
        users=TWO_REQUESTS,
        scenario=OPEN_SHOP,
        also=(_as_many(960, 960),),
    ),
    _honest(
        "bodies as given",
        "names with dots, {} and a list",
        users={"shop": users.file(*users.BODIES)},
        scenario=SHOP,
        script=manners.exact_bodies,
    ),
    _honest("second run", "on a target that remembers the keys and events of the first run", times=2, also=(_new_ids,)),
    _honest(
        "header names in lower case", "host: from the target file is sent once", script=manners.fussy, target=HOST_NAMED
    ),
    _honest("proxy variables", "a dead proxy in the environment", environment=DEAD_PROXY),
    _honest(
        "other packages in the way",
        "a working directory with somebody else's analysis/, locustfiles/ and locust.py",
        around={
            "analysis/__init__.py": "raise SystemExit(1)\n",
            "locustfiles/__init__.py": "raise SystemExit(1)\n",
            "locust.py": "raise SystemExit(1)\n",
        },
    ),
    _honest("one client address", "clients: shared", scenario=closed(clients="shared")),
    _honest("clients by header", "clients: header", scenario=closed(clients={"header": "X-Client"})),
)
CASES = SERVERS + THROTTLING + PLANS
