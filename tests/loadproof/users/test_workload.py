"""What the users of a process share: connections only go where this process may load, and more."""

from __future__ import annotations

import gzip
import inspect
from random import Random

import gevent
import pytest
from gevent.pool import Group

from tests import unpatched  # noqa: F401 - before locust

from loadproof.errors import UnsafeTargetError  # isort: skip
from loadproof.http.answers import Answer
from loadproof.http.connection import Connection
from loadproof.http.messages import ConnectionFailedError, Request, Timing
from loadproof.plan.clients import make_client, marks_of
from loadproof.plan.pacing import Due
from loadproof.recording.recorder import Recorder
from loadproof.recording.requestlistener import RequestListener
from loadproof.rundir.manifest import TargetFacts
from loadproof.users.habits import habits_of
from loadproof.users.post import Post
from loadproof.users.user import take_likes
from simulation.clock import FakeTime
from simulation.playeduser import PlayedUser
from simulation.rundirs import manifest, scenario


def exchange(base_url: str) -> None:
    work = Post().workload()
    work.clients.connections(work.clients.client(0), base_url).exchange(Request("GET", "/"), Timing())


@pytest.mark.parametrize("base_url", ["http://192.0.2.1:1", "http://127.1:1", ""])
def test_no_connection_is_made_to_a_host_that_is_not_allowed(monkeypatch, base_url):
    """Even if Locust itself was given the host, by its option --host, its web UI's form or a master's message."""
    monkeypatch.delenv("LOADPROOF_ALLOW_HOSTS", raising=False)
    with pytest.raises(UnsafeTargetError, match="not on the allow list"):
        exchange(base_url)


def test_allowed_hosts_are_connected_to(monkeypatch):
    """Allowed through the environment, the only way to tell Locust's processes."""
    monkeypatch.setenv("LOADPROOF_ALLOW_HOSTS", "127.1")
    for base_url in ("http://127.1:1", "http://127.0.0.1:1"):
        with pytest.raises(ConnectionFailedError):
            exchange(base_url)


def work_of(rank: int = 0, workers: int = 1, run=None, **plan: object):
    return Post(FakeTime().clock()).assign(run or manifest(scenario(**plan)), rank=rank, workers=workers)


MIX = {"balance": {"share": "50 %", "every": "2 s"}, "health": {"share": "50 %"}}


def test_a_process_reads_a_feeders_file_once_and_takes_its_share(tmp_path):
    """From beside the locustfiles; the order depends on the seed and the feeder."""
    (tmp_path / "rows.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(20)), encoding="utf-8")
    plan = manifest(scenario(feeders={name: {"file": "rows.csv", "order": "shuffled"} for name in ("one", "two")}))
    shared = [work_of(rank, 2, run=plan) for rank in range(2)]
    feeds = [work.feed("one", tmp_path) for work in shared]
    assert shared[0].feed("one", tmp_path) is feeds[0]
    client, random = make_client(0, seed=1, by_address=False), Random(1)
    one, other, two = (
        [feed.take(client, random)["id"] for _ in range(10)] for feed in (*feeds, shared[0].feed("two", tmp_path))
    )
    assert sorted(map(int, one + other)) == list(range(20))
    assert two != one


def test_the_target_files_credentials_are_in_each_request(monkeypatch):
    """HTTP basic needs no request to obtain anything first."""
    monkeypatch.setenv("SHOP_PASSWORD", "c4nary")
    auth = {"basic": {"user": "shop", "password": "SHOP_PASSWORD"}}
    target = TargetFacts(kind="own", base_url="http://127.0.0.1:1", limits={}, auth=auth)
    work = work_of(run=manifest(scenario()).model_copy(update={"target": target}))
    assert work.api.ask_health().request.headers["Authorization"] == "Basic c2hvcDpjNG5hcnk="
    assert "c4nary" not in work.mask("it is c4nary")


def test_a_user_takes_rows_of_the_file_beside_its_locustfile(tmp_path, monkeypatch):
    """And is stopped when none are left."""
    (tmp_path / "rows.csv").write_text("id\n7\n8\n", encoding="utf-8")
    monkeypatch.setattr(inspect, "getfile", lambda _: str(tmp_path / "shop.py"))
    rows = []
    played = PlayedUser(
        feeders={"one": {"file": "rows.csv", "at_end": "stop"}}, task=lambda user: rows.append(user.feed("one"))
    )
    played.live(9.0)
    assert [row["id"] for row in rows] == ["7", "8"]


def indices(work, kind: str, count: int) -> list[int]:
    return [work.clients.take(kind)[0].index for _ in range(count)]


def test_users_never_share_a_client_and_clients_do_not_depend_on_the_number_of_workers():
    """Indices are interleaved over kinds and workers; outside the mix, they start far above the others."""
    alone = work_of(mix=MIX)
    assert indices(alone, "health", 4) == [1, 3, 5, 7]
    assert indices(alone, "balance", 4) == [0, 2, 4, 6]
    shared = [work_of(rank, 3, mix=MIX) for rank in range(3)]
    assert [index for _ in range(2) for work in shared for index in indices(work, "health", 1)] == [1, 3, 5, 7, 9, 11]
    assert [index for _ in range(2) for work in shared for index in indices(work, "webhooks", 1)] == [
        *range(40_000, 40_006),
    ]


def test_new_users_reuse_the_clients_of_users_that_left():
    """The lowest first, each with the number of users it had before; a target doesn't have endless accounts."""
    work = work_of(mix=MIX)
    clients = [work.clients.take("health")[0] for _ in range(3)]
    for client in (clients[2], clients[0]):
        work.clients.leave("health", client)
    again = [work.clients.take("health") for _ in range(3)]
    assert [(client.index, lives) for client, lives in again] == [(1, 1), (5, 1), (7, 0)]


def test_a_later_user_of_a_client_makes_other_choices():
    """With the ids that the first one sent, its requests would look like repetitions."""
    played = PlayedUser()
    first = played.user
    again = type(first)(first.environment)
    assert again.identity.index != first.identity.index, "the first one is still there"
    life = first.start(Group())
    played.time.advance_to(1.0)
    life.kill(block=False)
    played.time.advance_to(1.1)
    second = type(first)(first.environment)
    assert second.identity == first.identity
    assert second.random.random() != second.identity.random("health/0").random(), "the first one's choices"


def test_the_pace_comes_from_the_mix_or_is_a_second():
    """Also for kinds outside the mix."""
    work = work_of(mix=MIX)
    assert (work.every_s("balance"), work.every_s("health"), work.every_s("webhooks")) == (2.0, 1.0, 1.0)


def test_limits_are_kept_unless_throttling_is_expected():
    """The limits that the target declares."""
    work = work_of()
    assert (work.is_limited("health"), work.is_limited("balance")) == (True, False)
    assert not work_of(expect_throttling=True).is_limited("health")


def test_promises_are_tracked_per_client_that_the_limits_see():
    """Separately for each client and endpoint; together for all clients that share an address."""
    own, shared = work_of(), work_of(clients="shared")
    assert (own.clients.client(1).address is None, shared.clients.client(1).address is None) == (False, True)
    first, second = own.clients.client(1), own.clients.client(2)
    assert own.clients.promise_tracker(first, "health") is own.clients.promise_tracker(first, "health")
    assert own.clients.promise_tracker(first, "health") is not own.clients.promise_tracker(second, "health")
    assert own.clients.promise_tracker(first, "health") is not own.clients.promise_tracker(first, "balance")
    assert shared.clients.promise_tracker(first, "health") is shared.clients.promise_tracker(second, "health")
    assert own.clients.connections(first, "http://127.0.0.1:1") is own.clients.connections(first, "http://127.0.0.1:1")
    assert own.clients.connections(first, "http://127.0.0.1:1") is not own.clients.connections(
        second, "http://127.0.0.1:1"
    )


def test_a_connection_has_the_scenarios_timeouts_and_the_clients_address():
    """Or the header that identifies it."""
    timeouts = {"connect": "3 s", "first_byte": "4 s", "total": "5 s", "keep_alive_idle": "6 s"}
    work = work_of(timeouts=timeouts)
    client = work.clients.client(1)
    made = work.clients._open_connection(client, "http://127.0.0.1:1")
    assert (type(made), made.origin.host) == (Connection, "127.0.0.1")
    assert (made._connect._duration_s, made._first_byte._duration_s, made._total._duration_s) == (3.0, 4.0, 5.0)
    assert made._keep_alive_idle_s == 6.0
    assert made._source_address == marks_of(1, "source-address", "127.0.0.1")[0] is not None
    marked = work_of(clients={"header": "X-Client"}).clients._open_connection(client, "http://127.0.0.1:1")
    assert (marked._source_address, list(marked._headers)) == (None, ["X-Client"])


def test_second_0_is_when_the_run_says():
    """Earlier times are negative."""
    time = FakeTime()
    work = Post(time.clock()).assign(manifest(scenario()), rank=0, workers=1)
    work.begin(3.0)
    assert work.now_s() == pytest.approx(-3.0, abs=1e-6)
    assert work.recorder.start_s == work.start_s
    time.advance_to(4.0)
    assert work.now_s() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("previous_s", "now_s", "due"),
    [
        (1.0, 1.5, Due(3.0)),
        (1.0, 3.5, Due(3.5)),
        (31.0, 32.0, Due(33.0)),
        (33.0, 33.5, Due(37.5, burst=1)),
        (33.0, 43.0, Due(43.0, burst=2, late=True)),
    ],
)
def test_a_user_is_due_at_its_pace_or_at_the_next_burst(previous_s, now_s, due):
    """Late if it was busy then."""
    found = work_of().next_due(2.0, previous_s=previous_s, now_s=now_s, offset_s=0.5)
    assert found == due


@pytest.mark.slow
def test_a_process_has_its_assigned_workload_or_plain_locusts():
    """With a new run id each time, so that no id is sent twice to one target."""
    post = Post(FakeTime().clock())
    plain = post.workload()
    assert post.workload() is plain
    assert (plain.is_of_run, plain.seed, plain.rank, plain.workers) == (False, 0, 0, 1)
    assert isinstance(plain.recorder, RequestListener)
    assert plain.monotonic_s == post.clock.now_s
    connect = object()
    assert Post(connect=connect).workload().clients._connect is connect
    assert Post(connect=connect).assign(manifest(scenario()), rank=0, workers=1).clients._connect is connect
    assert len(plain.run_id) == 64
    assert plain.run_id != Post().workload().run_id
    recorded = manifest(scenario()).model_copy(update={"seed": 7})
    work = post.assign(recorded, rank=2, workers=3)
    assert post.workload() is work
    assert (work.seed, work.rank, work.workers, work.run_id) == (7, 2, 3, recorded.run_id)
    assert isinstance(work.recorder, Recorder)
    assert work.recorder._worker == "3"
    post.leave()
    assert post.workload() is not work
    assert not post.workload().is_of_run


def test_plain_locust_uses_the_default_mixs_paces_and_has_no_end():
    """And has no scenario."""
    work = Post(FakeTime().clock()).workload()
    assert (work.every_s("balance"), work.every_s("webhooks"), work.every_s("own")) == (2.5, 24.0, 1.0)
    assert (work.first_step(1e7), work.has_bursts) == (1e7, False)
    assert work.next_due(2.5, previous_s=1e7, now_s=1e7 + 0.1, offset_s=0.0) == Due(1e7 + 2.5)
    with pytest.raises(LookupError, match="plain Locust has no scenario"):
        work.scenario  # noqa: B018


def test_users_follow_the_scenarios_keys():
    """Each of its keys."""
    plan = scenario(
        deadline="2 s",
        timeouts={"connect": "3 s", "total": "4 s"},
        when_throttled="ignore",
        expect_throttling=True,
        clients="shared",
    )
    habits = habits_of(plan)
    assert (habits.mix, habits.timeouts, habits.deadline_s) == (plan.mix, plan.timeouts, 2.0)
    assert (habits.clients, habits.when_throttled, habits.keeps_to_limits) == ("shared", "ignore", False)
    assert habits_of(scenario()).keeps_to_limits


def test_outside_the_mix_a_kind_of_user_sends_requests_named_after_it():
    """Even if there is a scenario that doesn't list it."""
    work = work_of(mix={"balance": {"share": "100 %", "every": "2 s", "requests": ["login", "read"]}})
    assert (work.requests_of("balance"), work.requests_of("own")) == (("login", "read"), ("own",))


def test_a_secret_echoed_by_the_target_is_in_no_example(monkeypatch):
    """The name of its variable replaces its value."""
    monkeypatch.setenv("TOKEN_OF_OURS", "s3cr3t-s3cr3t")
    recorded = manifest(scenario())
    target = recorded.target.model_copy(update={"headers": {"X-Key": "${TOKEN_OF_OURS}"}})
    recorder = work_of(run=recorded.model_copy(update={"target": target})).recorder
    answer = Answer(400, {}, b"no such user: s3cr3t-s3cr3t")
    recorder.failed("health", Request("GET", "/"), answer, ValueError("status 400"))
    (example,) = recorder.take(1.0, 1).failures
    assert example.body == "no such user: ${TOKEN_OF_OURS}"


DENIED = {"health": {"share": "50 %", "every": "1 s"}, "denied": {"like": "health", "share": "50 %", "every": "1 s"}}


def test_a_kind_of_user_with_its_own_addresses_connects_from_them():
    """The journal also names the client by its address."""
    DENIED["denied"]["addresses"] = "127.129.0.0/16"
    work = work_of(mix=DENIED)
    client, _ = work.clients.take("denied")
    assert (client.index, client.address) == (0, "127.129.0.1")
    assert work.clients._open_connection(client, "http://127.0.0.1:1")._source_address == client.address
    assert work.clients.seen_as(client, "http://127.0.0.1:1") == client.address
    assert work.clients.client(1).address == marks_of(1, "source-address", "127.0.0.1")[0]


def test_a_kind_of_user_like_another_has_its_own_class():
    """Under its own name; classes of an earlier run are removed."""
    played = PlayedUser()
    environment = played.user.environment
    for plan in (scenario(mix=DENIED), scenario(mix=DENIED)):
        take_likes(environment, plan)
        assert [(cls.__name__, cls.endpoint) for cls in environment.user_classes] == [
            ("Playing", "health"),
            ("PlayingAsDenied", "denied"),
        ]
    assert environment.user_classes[1].tasks == environment.user_classes[0].tasks
    take_likes(environment, scenario())
    assert [cls.__name__ for cls in environment.user_classes] == ["Playing"]


def test_a_user_in_a_guise_accepts_only_what_it_expects():
    """The expected refusal is `ok`, but no reply for its task."""
    refused = {"health": {"share": "100 %", "every": "2 s", "expect": 403}}
    got = []
    played = PlayedUser(
        mix=refused,
        statuses=[403, 200],
        record="requests",
        task=lambda user: got.append(user.send(user.api.ask_health(), lambda reply: reply["status"])),
    )
    played.live(6.0)
    taking = gevent.spawn(played.recorder.take, 10.0, 1, last=True)
    played.time.advance_until(taking.ready, within_s=1)
    rows = gzip.decompress(taking.get().journal).decode().splitlines()
    assert [row.split(",")[7:9] for row in rows][:2] == [["403", "ok"], ["200", "invalid"]]
    assert set(got) == {None}
