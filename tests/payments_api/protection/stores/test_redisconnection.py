"""One connection for all requests in flight: matching of answers, pipelining, and what ends it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
import redis
from limits import parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from drills.redisserver import RedisServer
from payments_api.protection.stores.redisconnection import RedisConnection
from payments_api.protection.stores.redisstore import RedisStore

pytestmark = pytest.mark.process

TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def on_connection(url: str, talk: Callable[[RedisConnection], Awaitable[None]]) -> None:
    """Run `talk` on a connection, and check that it leaves no task behind."""

    async def whole() -> None:
        connection = RedisConnection(url)
        await talk(connection)
        await connection.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(whole())


def test_simultaneous_commands_share_a_connection_and_get_their_own_answers(server):
    """In no more packets than passes of the event loop."""

    async def talk(connection: RedisConnection) -> None:
        with server.client() as client:
            await connection.ask("PING", timeout_s=TIMEOUT_S)
            before = client.info("stats")["total_reads_processed"], len(client.client_list())
            answers = await asyncio.gather(
                *(connection.ask("ECHO", str(number), timeout_s=TIMEOUT_S) for number in range(200))
            )
            after = client.info("stats")["total_reads_processed"], len(client.client_list())
        assert [int(answer) for answer in answers] == list(range(200))
        assert after[1] == before[1] == 2
        # The other commands are the observer's own.
        assert after[0] - before[0] < 10

    on_connection(server.url, talk)


def test_a_cancelled_command_does_not_mix_up_other_answers(server):
    """It was sent all the same, and is answered."""

    async def talk(connection: RedisConnection) -> None:
        asked = [asyncio.ensure_future(connection.ask("ECHO", str(number), timeout_s=TIMEOUT_S)) for number in range(6)]
        await asyncio.sleep(0)
        for given_up in asked[::2]:
            given_up.cancel()
        assert [int(await kept) for kept in asked[1::2]] == [1, 3, 5]

    on_connection(server.url, talk)


def test_a_refused_command_only_fails_its_own_caller(server):
    """The connection stays open."""

    async def talk(connection: RedisConnection) -> None:
        wrong, right = await asyncio.gather(
            connection.ask("NO-SUCH-COMMAND", timeout_s=TIMEOUT_S),
            connection.ask("ECHO", "right", timeout_s=TIMEOUT_S),
            return_exceptions=True,
        )
        assert isinstance(wrong, redis.ResponseError)
        assert right == b"right"

    on_connection(server.url, talk)


def test_an_answer_that_arrives_too_late_is_dropped(server):
    """The shortest timeout fails all commands; later ones use a new connection."""

    async def talk(connection: RedisConnection) -> None:
        await connection.ask("PING", timeout_s=TIMEOUT_S)
        server.hang()
        began_s = time.monotonic()
        asked = (connection.ask("ECHO", "late", timeout_s=timeout_s) for timeout_s in (60, 0.1, 30))
        late = await asyncio.gather(*asked, return_exceptions=True)
        took_s = time.monotonic() - began_s
        server.go_on()
        assert [type(error) for error in late] == [TimeoutError] * 3
        assert took_s < TIMEOUT_S / 2
        assert await connection.ask("ECHO", "right", timeout_s=TIMEOUT_S) == b"right"

    on_connection(server.url, talk)


def test_new_commands_do_not_put_off_a_short_timeout(server):
    """A hanging server is noticed although somebody asks it something every few milliseconds."""

    async def talk(connection: RedisConnection) -> None:
        await connection.ask("PING", timeout_s=TIMEOUT_S)
        server.hang()
        began_s, asked = time.monotonic(), []
        while not any(answer.done() for answer in asked) and time.monotonic() < began_s + 2 * TIMEOUT_S:
            asked.append(asyncio.ensure_future(connection.ask("ECHO", "late", timeout_s=0.02)))
            await asyncio.sleep(0.005)
        took_s = time.monotonic() - began_s
        server.go_on()
        await asyncio.gather(*asked, return_exceptions=True)
        assert took_s < TIMEOUT_S

    on_connection(server.url, talk)


def test_an_answer_that_this_process_was_too_busy_to_read_is_not_late(server):
    """It has arrived, so Redis is well."""

    async def talk(connection: RedisConnection) -> None:
        await connection.ask("PING", timeout_s=TIMEOUT_S)
        server.hang()
        asked = asyncio.ensure_future(connection.ask("ECHO", "read", timeout_s=0.1))
        await asyncio.sleep(0.02)
        server.go_on()
        time.sleep(0.3)  # noqa: ASYNC251 - stalls the event loop
        assert await asked == b"read"

    on_connection(server.url, talk)


def test_a_server_that_accepts_but_never_answers_times_out():
    """Connecting is part of the timeout."""

    async def talk(connection: RedisConnection) -> None:
        began_s = time.monotonic()
        with pytest.raises(TimeoutError):
            await connection.ask("PING", timeout_s=0.1)
        assert time.monotonic() - began_s < TIMEOUT_S

    with socket.create_server(("127.0.0.1", 0)) as listener:
        on_connection(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", talk)


def test_a_connection_that_the_server_closed_meanwhile_is_replaced_without_an_error(server):
    """As after its idle timeout."""

    async def talk(connection: RedisConnection) -> None:
        number = await connection.ask("CLIENT", "ID", timeout_s=TIMEOUT_S)
        with server.client() as client:
            client.client_kill_filter(_id=number)
        await asyncio.sleep(0.2)
        assert await connection.ask("CLIENT", "ID", timeout_s=TIMEOUT_S) > number

    on_connection(server.url, talk)


def test_timeouts_in_the_url_do_not_end_an_idle_connection(server):
    """It would end in the middle of the next command."""

    async def talk(connection: RedisConnection) -> None:
        number = await connection.ask("CLIENT", "ID", timeout_s=TIMEOUT_S)
        await asyncio.sleep(0.3)
        assert await connection.ask("CLIENT", "ID", timeout_s=TIMEOUT_S) == number

    on_connection(f"{server.url}?socket_timeout=0.1", talk)


def test_a_server_that_forgot_its_scripts_is_sent_them_again(server):
    """After a failover that no connection noticed, say."""

    async def forgotten() -> list[bool]:
        store = RedisStore({"other": "3/min"}, None, server.url, TIMEOUT_S)
        admitted = [(await store.take("other", "forgetful")).is_admitted]
        with server.client() as client:
            client.script_flush()
        admitted += [(await store.take("other", "forgetful")).is_admitted for _ in range(3)]
        await store.aclose()
        return admitted

    assert asyncio.run(forgotten()) == [True, True, True, False]


def test_other_users_of_the_library_count_the_same_requests(server):
    """Half of the requests use its own strategy and storage: together they admit N, and agree on the quota."""
    limit = parse("10/minute")

    async def alternately() -> tuple[list[bool], list[tuple[int, float]]]:
        store = RedisStore({"other": "10/min"}, None, server.url, TIMEOUT_S)
        storage = RedisStorage(f"async+{server.url}", implementation="redispy", key_prefix="payments")
        library = MovingWindowRateLimiter(storage)
        admitted, apart = [], []
        for _ in range(7):
            admitted.append(await library.hit(limit, "other", "both"))
            standing = await store.take("other", "both")
            admitted.append(standing.is_admitted)
            stats = await library.get_window_stats(limit, "other", "both")
            apart.append((stats.remaining - standing.remaining, stats.reset_time - time.time() - standing.reset_s))
        await store.aclose()
        await storage.bridge.storage.aclose()
        return admitted, apart

    admitted, apart = asyncio.run(alternately())
    assert admitted == [True] * 10 + [False] * 4
    assert [remaining for remaining, _ in apart] == [0] * 7
    assert [seconds for _, seconds in apart] == pytest.approx([0] * 7, abs=0.2)
