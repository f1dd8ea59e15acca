"""Limits and penalties shared through a real Redis, also when it dies, hangs or returns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
from prometheus_client import CollectorRegistry

from drills.redisserver import RedisServer
from drills.target import running_target
from payments_api.protection.metrics import ProtectionMetrics
from payments_api.protection.options import Options
from payments_api.protection.penalties import PenaltyRule
from payments_api.protection.protection import Protection
from payments_api.protection.stores.eviction import EvictionWatch
from payments_api.protection.stores.fallback import FallbackStore
from payments_api.protection.stores.redisstore import RedisStore
from payments_api.protection.stores.stores import LocalStore, Standing
from tests.addresses import session_from

if TYPE_CHECKING:
    import redis

pytestmark = pytest.mark.process

LIMITS = {"health": "3/min"}
RULE = PenaltyRule(base_s=2, factor=2, cap_s=5, memory_s=60)
TIMEOUT_S = 1.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def redis_store(server: RedisServer) -> RedisStore:
    return RedisStore(LIMITS, RULE, server.url, TIMEOUT_S)


async def use_up(store: RedisStore, client: str) -> None:
    assert all([(await store.take("health", client)).is_admitted for _ in range(3)])


def until_admitted_s(client: redis.Redis, name: str) -> float:
    """Seconds until the limit alone would admit the client again, when a penalty starts."""
    return float(client.lindex(f"payments:LIMITER/health/{name}/3/1/minute", -1)) + 60 - time.time()


class Guarded:
    """A store with its fallback, its metrics and reported problems."""

    def __init__(self, server: RedisServer) -> None:
        self.registry = CollectorRegistry()
        self.problems: list[str] = []
        self.store = FallbackStore(
            redis_store(server),
            LocalStore(LIMITS, RULE, most_clients=1000),
            timeout_s=TIMEOUT_S,
            metrics=ProtectionMetrics(self.registry),
            on_problem=lambda name, _: self.problems.append(name),
            probe_every_s=0.05,
            calm_s=0.0,
        )
        self.slowest_s = 0.0

    async def admitted(self, client: str, times: int) -> int:
        """How many of `times` sequential requests are admitted; records the slowest."""
        count = 0
        for _ in range(times):
            began_s = time.monotonic()
            count += (await self.store.take("health", client)).is_admitted
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        return count

    async def until_shared(self, *, wanted: bool) -> None:
        async with asyncio.timeout(10):
            while self.store.is_shared is not wanted:  # noqa: ASYNC110 - polled, as from outside
                await asyncio.sleep(0.02)

    def counted(self, name: str) -> float:
        return self.registry.get_sample_value(name) or 0.0


def test_two_processes_together_admit_what_one_would(server):
    """Three, whichever of them is asked; and both report the remaining quota correctly."""

    async def both() -> list[tuple[bool, int]]:
        stores = [redis_store(server), redis_store(server)]
        standings = [await stores[number % 2].take("health", "1.2.3.4") for number in range(5)]
        assert all(55 < standing.reset_s <= 60 + RULE.base_s for standing in standings)
        for store in stores:
            await store.aclose()
        return [(standing.is_admitted, standing.remaining) for standing in standings]

    assert asyncio.run(both()) == [(True, 2), (True, 1), (True, 0), (False, 0), (False, 0)]


def test_penalties_are_shared_grow_and_stop_at_the_cap(server):
    """Two, four, then the cap of five seconds; a violation during a penalty doesn't count."""

    async def punished() -> list[float]:
        first, second = redis_store(server), redis_store(server)
        await use_up(first, "a")
        penalties = []
        with server.client() as client:
            for _ in range(4):
                racing = await asyncio.gather(*(store.take("health", "a") for store in (first, second) * 5))
                assert not any(standing.is_admitted for standing in racing)
                assert [standing.is_penalty for standing in racing].count(False) == 1
                waits_s = [standing.reset_s for standing in racing]
                assert max(waits_s) - min(waits_s) < 1
                penalties.append(max(waits_s) - until_admitted_s(client, "a"))
                # End the penalty without waiting for it.
                client.hset("payments:penalty:a", "until", int(time.time() * 1000))
            assert 120 < client.ttl("payments:penalty:a") <= 60 + 5 + 3 * 60
        assert (await first.take("health", "b")).is_admitted
        for store in (first, second):
            await store.aclose()
        return penalties

    assert asyncio.run(punished()) == pytest.approx([2, 4, 5, 5], abs=0.3)


def test_penalties_in_redis_decay_as_they_do_locally(server):
    """Each quiet memory period forgives one violation."""

    async def after_quiet(strikes: int, quiet_s: int) -> float:
        store = redis_store(server)
        with server.client() as client:
            ended_ms = int((time.time() - quiet_s) * 1000)
            client.hset(f"payments:penalty:{quiet_s}", mapping={"strikes": strikes, "until": ended_ms})
            await use_up(store, str(quiet_s))
            wait_s = (await store.take("health", str(quiet_s))).reset_s
            await store.aclose()
            return wait_s - until_admitted_s(client, str(quiet_s))

    assert asyncio.run(after_quiet(2, 59)) == pytest.approx(5, abs=0.3)
    assert asyncio.run(after_quiet(2, 61)) == pytest.approx(4, abs=0.3)
    assert asyncio.run(after_quiet(2, 121)) == pytest.approx(2, abs=0.3)


def test_retry_after_covers_a_full_window_that_outlasts_the_penalty_in_redis(server):
    """A client that waits as told must be admitted there, too; other endpoints only wait for the penalty."""

    async def during_a_penalty() -> list[Standing]:
        store = RedisStore(LIMITS | {"short": "1/s", "free": "9/min"}, RULE, server.url, TIMEOUT_S)
        await use_up(store, "a")
        assert (await store.take("free", "a")).is_admitted
        while (await store.take("short", "a")).is_admitted:
            pass
        found = [await store.take(endpoint, "a") for endpoint in ("health", "free")]
        await store.aclose()
        return found

    full, free = asyncio.run(during_a_penalty())
    assert full == Standing(False, 0, pytest.approx(60, abs=2), is_penalty=True)
    assert free == Standing(False, 0, pytest.approx(2.5, abs=0.6), is_penalty=True)


@pytest.mark.parametrize("incident", ["killed", "hung"])
def test_a_lost_redis_means_local_limits_at_once_and_shared_ones_when_it_is_back(server, incident):
    """Every request is decided within the timeout, and only the first ones wait; one incident, one report."""
    lose, bring_back = {"killed": (server.kill, server.start_again), "hung": (server.hang, server.go_on)}[incident]

    async def through_the_incident() -> None:
        guarded = Guarded(server)
        assert await guarded.admitted("before", 5) == 3
        lose()
        # Six at once: each waits for at most one timeout.
        began_s = time.monotonic()
        assert sum(await asyncio.gather(*(guarded.admitted("racing", 1) for _ in range(6)))) == 3
        assert time.monotonic() - began_s < 2 * TIMEOUT_S
        assert not guarded.store.is_shared
        guarded.slowest_s = 0.0
        assert await guarded.admitted("meanwhile", 200) == 3
        assert guarded.slowest_s < TIMEOUT_S / 2
        assert guarded.counted("limiter_fallbacks_total") >= 200
        assert guarded.counted("limiter_store_failures_total") >= 1
        assert guarded.registry.get_sample_value("limiter_store", {"store": "local"}) == 1
        bring_back()
        await guarded.until_shared(wanted=True)
        assert await guarded.admitted("after", 5) == 3
        assert guarded.registry.get_sample_value("limiter_store", {"store": "redis"}) == 1
        await asyncio.sleep(0)
        assert guarded.problems == ["redis-lost", "redis-recovered"]
        await guarded.store.aclose()

    asyncio.run(through_the_incident())


def test_a_redis_that_refuses_to_store_penalties_counts_as_lost(server):
    """Otherwise each violation would find out anew; and the probe leaves nothing behind."""

    async def forbidden() -> None:
        guarded = Guarded(server)
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-hset")
            # The fourth is a violation, which can't be stored.
            assert await guarded.admitted("a", 4) == 4
            await asyncio.sleep(0.5)
            assert not guarded.store.is_shared
            client.execute_command("ACL", "SETUSER", "default", "+hset")
            await guarded.until_shared(wanted=True)
            assert (await guarded.store.take("health", "a")).reset_s == pytest.approx(62, abs=2)
            assert guarded.problems[0] == "redis-lost"
            await asyncio.sleep(0.05)
            assert not client.exists("payments:probe")
        await guarded.store.aclose()

    asyncio.run(forbidden())


class Flapping(LocalStore):
    """Answers probes, but fails requests."""

    is_well = False

    async def take(self, endpoint: str, client: str) -> Standing:
        if not self.is_well:
            raise ConnectionError("slow")
        return await super().take(endpoint, client)

    async def probe(self, timeout_s: float) -> None:
        """Succeeds."""

    async def aclose(self) -> None:
        """Does nothing."""


def test_a_flapping_store_is_one_incident_that_ends_after_a_calm_period():
    """However often it seemed to be back; meanwhile counts are shared again."""
    problems, registry = [], CollectorRegistry()

    async def flap() -> None:
        shared = Flapping(LIMITS, most_clients=9)
        store = FallbackStore(
            shared,
            LocalStore(LIMITS, most_clients=9),
            timeout_s=TIMEOUT_S,
            metrics=ProtectionMetrics(registry),
            on_problem=lambda name, _: problems.append(name),
            probe_every_s=0.01,
            calm_s=0.3,
        )
        for _ in range(20):
            await store.take("health", "c")
            await asyncio.sleep(0.03)
        assert registry.get_sample_value("limiter_store_failures_total") >= 5
        assert problems == ["redis-lost"]
        shared.is_well = True
        await asyncio.sleep(0.1)
        assert store.is_shared
        assert problems == ["redis-lost"]
        await asyncio.sleep(0.4)
        assert problems == ["redis-lost", "redis-recovered"]
        shared.is_well = False
        await store.take("health", "c")
        assert problems == ["redis-lost", "redis-recovered", "redis-lost"]
        await store.aclose()

    asyncio.run(flap())


def test_a_redis_that_answers_but_cannot_write_counts_as_lost(server):
    """Out of memory, it would still answer a PING."""

    async def full() -> None:
        guarded = Guarded(server)
        with server.client() as client:
            client.config_set("maxmemory", "1")
            client.config_set("maxmemory-policy", "noeviction")
            assert await guarded.admitted("a", 5) == 3
            await asyncio.sleep(0.3)
            assert not guarded.store.is_shared
            client.config_set("maxmemory", "0")
        await guarded.until_shared(wanted=True)
        await guarded.store.aclose()

    asyncio.run(full())


@pytest.mark.parametrize("limiter", ["redis", "slowapi"])
@pytest.mark.parametrize("incident", ["killed", "hung"])
def test_a_lost_redis_leaves_no_request_undecided_for_any_limiter(server, limiter, incident):
    """Even during a penalty, when another endpoint's limit is only read; reported and counted alike."""
    registry, problems = CollectorRegistry(), []
    options = Options(
        limiter=limiter,
        limits={"a": "2/min", "b": "5/min", "other": "60/min"},
        redis_url=server.url,
        redis_timeout_s=TIMEOUT_S,
        penalty=PenaltyRule(base_s=10),
    )

    async def decisions() -> list[Any]:
        protection = Protection(
            options, metrics=ProtectionMetrics(registry), on_problem=lambda name, _: problems.append(name)
        )
        async with protection.running():
            before = [(await protection.limits.decide("a", "c")).is_admitted for _ in range(4)]
            assert before == [True, True, False, False]
            assert registry.get_sample_value("limiter_store", {"store": limiter}) == 1
            (server.kill if incident == "killed" else server.hang)()
            return [await protection.limits.decide("b", client) for client in ["c", "d", *["e"] * 6]]

    found = asyncio.run(decisions())
    # Penalties with slowapi are local, and remain; those in Redis are out of reach.
    assert found[0].is_penalty is (limiter == "slowapi")
    assert [decision.is_admitted for decision in found[1:]] == [True] * 6 + [False]
    assert problems == ["redis-lost"]
    assert registry.get_sample_value("limiter_store", {"store": "local"}) == 1
    assert registry.get_sample_value("limiter_fallbacks_total") >= 7


def test_slowapi_counts_in_redis_again_when_it_is_back(server):
    """Requests counted locally meanwhile are not transferred."""
    limits = LIMITS | {"other": "60/min"}
    options = Options(limiter="slowapi", limits=limits, redis_url=server.url, redis_timeout_s=TIMEOUT_S)

    async def back() -> None:
        protection = Protection(options, metrics=ProtectionMetrics(CollectorRegistry()))
        store = protection._fallback
        server.kill()
        assert [(await protection.limits.decide("health", "c")).is_admitted for _ in range(4)] == [True] * 3 + [False]
        assert not store.is_shared
        server.start_again()
        async with asyncio.timeout(10):
            while not store.is_shared:  # noqa: ASYNC110 - polled, as from outside
                await asyncio.sleep(0.02)
        assert (await store.take("health", "c")).remaining == 2
        with server.client() as client:
            assert any(b"health" in key for key in client.scan_iter())
        await store.aclose()

    asyncio.run(back())


@pytest.mark.parametrize("limiter", ["redis", "slowapi"])
def test_a_redis_that_may_evict_keys_is_an_incident_until_it_may_not(server, limiter):
    """Before clients get a fresh quota; and again when it really happens."""
    registry, problems = CollectorRegistry(), []
    protection = Protection(
        Options(limiter=limiter, redis_url=server.url, redis_timeout_s=TIMEOUT_S),
        metrics=ProtectionMetrics(registry),
        on_problem=lambda name, _: problems.append(name),
    )

    async def evict(client: redis.Redis) -> None:
        client.config_set("maxmemory-policy", "volatile-lru")
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 3_000_000)
        async with protection.running():
            async with asyncio.timeout(10):
                while not problems:  # noqa: ASYNC110 - set by another thread
                    await asyncio.sleep(0.01)
            for number in range(600):
                client.set(str(number), "x" * 10_000, ex=60)
            for _ in range(2):
                await protection._eviction.look()
            client.config_set("maxmemory-policy", "noeviction")
            for _ in range(2):
                await protection._eviction.look()

    with server.client() as client:
        asyncio.run(evict(client))
        assert registry.get_sample_value("limiter_store_evicted_keys") == client.info("stats")["evicted_keys"] > 0
    assert problems == ["eviction-possible", "eviction-seen", "eviction-recovered"]


@pytest.mark.parametrize(
    "changes", [{"maxmemory": "0", "maxmemory-policy": "allkeys-lru"}, {"maxmemory-policy": "noeviction"}]
)
def test_a_redis_that_evicts_nothing_is_no_incident_nor_is_one_that_does_not_say(server, changes):
    problems: list[str] = []
    store = redis_store(server)
    watch = EvictionWatch(
        store.info, metrics=ProtectionMetrics(CollectorRegistry()), on_problem=lambda name, _: problems.append(name)
    )

    async def look() -> None:
        with server.client() as client:
            for name, value in changes.items():
                client.config_set(name, value)
            await watch.look()
            client.execute_command("ACL", "SETUSER", "default", "-info")
            await watch.look()
            assert (await store.take("health", "c")).is_admitted
        await store.aclose()

    asyncio.run(look())
    assert problems == []


def test_evicted_keys_are_an_incident_whatever_the_servers_policy():
    """Until no more keys are evicted."""
    problems: list[str] = []
    answers = iter([{"evicted_keys": "3"}, {"evicted_keys": "3"}, {"evicted_keys": "9"}, {"evicted_keys": "9"}])

    async def ask() -> dict[str, str]:
        return next(answers)

    metrics = ProtectionMetrics(CollectorRegistry())
    watch = EvictionWatch(ask, metrics=metrics, on_problem=lambda name, _: problems.append(name))
    for seen in ([], [], ["eviction-seen"], ["eviction-seen", "eviction-recovered"]):
        asyncio.run(watch.look())
        assert problems == seen


def test_a_redis_cluster_is_recognised():
    """Its servers refuse scripts with keys on several of them: the incident would never end."""
    problems: list[tuple[str, str]] = []
    with RedisServer(**{"cluster-enabled": "yes"}) as cluster:
        protection = Protection(
            Options(limiter="redis", redis_url=cluster.url, redis_timeout_s=TIMEOUT_S),
            metrics=ProtectionMetrics(CollectorRegistry()),
            on_problem=lambda *problem: problems.append(problem),
        )

        async def start() -> None:
            async with protection.running():
                assert (await protection.limits.decide("other", "c")).is_admitted

        asyncio.run(start())
    [(name, detail)] = problems
    assert name == "redis-lost"
    assert "Redis Cluster, which is not supported; name a server that has all keys" in detail


def test_an_application_that_starts_again_tries_redis_again():
    """In the same process, as in its own tests; an earlier loss says nothing about now."""

    class Store:
        is_there = False

        async def probe(self, _: float) -> None:
            if not self.is_there:
                raise ConnectionError("refused")

        async def aclose(self) -> None: ...

    shared, registry = Store(), CollectorRegistry()
    store = FallbackStore(
        shared,
        LocalStore(LIMITS, most_clients=100),
        timeout_s=TIMEOUT_S,
        metrics=ProtectionMetrics(registry),
        on_problem=lambda *_: None,
    )

    async def start() -> bool:
        await store.try_out()
        try:
            return store.is_shared
        finally:
            await store.aclose()

    assert asyncio.run(start()) is False
    shared.is_there = True
    assert asyncio.run(start()) is True
    assert registry.get_sample_value("limiter_store", {"store": "local"}) == 0


def test_the_api_starts_without_redis():
    """Local limits from the first request on, and an incident that no request waits for."""
    with (
        running_target(LIMITER="redis", REDIS_URL="redis://127.0.0.1:9/0", LIMIT_HEALTH="3/min") as target,
        session_from("127.2.1.1") as session,
    ):
        deadline_s = time.monotonic() + 10
        while not (incidents := target.metric("alert_incidents_total", 'incident="redis-lost"')):
            assert time.monotonic() < deadline_s
        answers = [session.get(f"{target.url}/health", timeout=5).status_code for _ in range(5)]
        page = requests.get(f"{target.url}/metrics", timeout=5).text
    assert incidents == 1
    assert answers == [200] * 3 + [429] * 2
    assert 'limiter_store{store="local"} 1.0' in page
    assert 'limiter_store{store="redis"} 0.0' in page


@pytest.mark.long
def test_two_workers_share_redis_lose_it_and_get_it_back(server):
    """N together; 2 N while it hangs, as documented, without a 5xx; then N again."""
    settings = {"LIMITER": "redis", "REDIS_URL": server.url, "LIMIT_HEALTH": "4/min", "WORKERS": "2"}

    with running_target(**settings) as target:

        def statuses(address: str) -> list[int]:
            # One connection per request, so that both workers are reached.
            answers = []
            for _ in range(40):
                with session_from(address) as session:
                    answers.append(session.get(f"{target.url}/health", timeout=5).status_code)
            return answers

        assert statuses("127.2.1.2").count(200) == 4
        server.hang()
        meanwhile = statuses("127.2.1.3")
        assert set(meanwhile) <= {200, 429}
        assert meanwhile.count(200) in {5, 6, 7, 8}
        page = requests.get(f"{target.url}/metrics", timeout=5).text
        assert 'limiter_store{store="local"} 2.0' in page
        server.go_on()
        deadline_s = time.monotonic() + 10
        while 'limiter_store{store="redis"} 2.0' not in requests.get(f"{target.url}/metrics", timeout=5).text:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        assert statuses("127.2.1.4").count(200) == 4
