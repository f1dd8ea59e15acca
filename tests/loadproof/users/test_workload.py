"""What users of a process share: connections go only where this process may load."""

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
from loadproof.recording.norecorder import NoRecorder
from loadproof.recording.recorder import Recorder
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
def test_no_connection_is_made_to_a_host_that_nobody_allowed(monkeypatch, base_url):
    """Also where Locust itself was told the host: by its option --host, its web UI's form, or a master's message."""
    monkeypatch.delenv("LOADPROOF_ALLOW_HOSTS", raising=False)
    with pytest.raises(UnsafeTargetError, match="not on the allow list"):
        exchange(base_url)


def test_a_host_that_this_process_may_load_is_connected_to(monkeypatch):
    """By the environment, which is all that a process of Locust's is told of it."""
    monkeypatch.setenv("LOADPROOF_ALLOW_HOSTS", "127.1")
    for base_url in ("http://127.1:1", "http://127.0.0.1:1"):
        with pytest.raises(ConnectionFailedError):
            exchange(base_url)


def work_of(rank: int = 0, workers: int = 1, run=None, **plan: object):
    return Post(FakeTime().clock()).assign(run or manifest(scenario(**plan)), rank=rank, workers=workers)


MIX = {"balance": {"share": "50 %", "every": "2 s"}, "health": {"share": "50 %"}}


def test_a_process_reads_a_feeders_file_once_and_takes_its_part(tmp_path):
    """Beside the locustfiles; the order is the seed's and the feeder's own."""
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


def test_what_the_target_file_proves_who_we_are_with_is_in_each_request(monkeypatch):
    """HTTP basic needs nothing that is obtained first."""
    monkeypatch.setenv("SHOP_PASSWORD", "c4nary")
    auth = {"basic": {"user": "shop", "password": "SHOP_PASSWORD"}}
    target = TargetFacts(kind="own", base_url="http://127.0.0.1:1", limits={}, auth=auth)
    work = work_of(run=manifest(scenario()).model_copy(update={"target": target}))
    assert work.api.ask_health().request.headers["Authorization"] == "Basic c2hvcDpjNG5hcnk="
    assert "c4nary" not in work.mask("it is c4nary")


def test_a_user_takes_rows_of_the_file_beside_its_locustfile(tmp_path, monkeypatch):
    """And is stopped when there are none left."""
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


def test_no_two_users_are_one_client_and_the_number_of_workers_changes_none():
    """Kinds take turns, and so do workers; beside the mix, clients begin far from the others'."""
    alone = work_of(mix=MIX)
    assert indices(alone, "health", 4) == [1, 3, 5, 7]
    assert indices(alone, "balance", 4) == [0, 2, 4, 6]
    shared = [work_of(rank, 3, mix=MIX) for rank in range(3)]
    assert [index for _ in range(2) for work in shared for index in indices(work, "health", 1)] == [1, 3, 5, 7, 9, 11]
    assert [index for _ in range(2) for work in shared for index in indices(work, "webhooks", 1)] == [
        *range(40_000, 40_006),
    ]


def test_users_that_come_again_are_the_clients_that_left():
    """The lowest first, each with how many have been it before; a target has no accounts for ever new ones."""
    work = work_of(mix=MIX)
    clients = [work.clients.take("health")[0] for _ in range(3)]
    for client in (clients[2], clients[0]):
        work.clients.leave("health", client)
    again = [work.clients.take("health") for _ in range(3)]
    assert [(client.index, lives) for client, lives in again] == [(1, 1), (5, 1), (7, 0)]


def test_who_is_a_client_again_chooses_anew():
    """The ids that the first one sent would be taken for repetitions."""
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


def test_the_pace_is_the_mixs_or_a_second():
    """Beside the mix, too."""
    work = work_of(mix=MIX)
    assert (work.every_s("balance"), work.every_s("health"), work.every_s("webhooks")) == (2.0, 1.0, 1.0)


def test_limits_hold_unless_throttling_is_expected():
    """Those that the target declares."""
    work = work_of()
    assert (work.is_limited("health"), work.is_limited("balance")) == (True, False)
    assert not work_of(expect_throttling=True).is_limited("health")


def test_a_promise_is_of_whom_the_limits_see():
    """Each client for itself, and each endpoint; all of them together where they share an address."""
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
    """Or the header that its marks are in."""
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


def test_second_0_is_where_the_run_says():
    """Times before it are below 0."""
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
    """Late where it was busy."""
    found = work_of().next_due(2.0, previous_s=previous_s, now_s=now_s, offset_s=0.5)
    assert found == due


@pytest.mark.slow
def test_a_process_has_what_was_assigned_and_else_plain_locusts():
    """Under another run's id each time, so that no id comes twice on one target."""
    post = Post(FakeTime().clock())
    plain = post.workload()
    assert post.workload() is plain
    assert (plain.is_of_run, plain.seed, plain.rank, plain.workers) == (False, 0, 0, 1)
    assert isinstance(plain.recorder, NoRecorder)
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


def test_plain_locust_has_the_default_mixs_paces_and_no_end():
    """And no scenario to ask for."""
    work = Post(FakeTime().clock()).workload()
    assert (work.every_s("balance"), work.every_s("webhooks"), work.every_s("own")) == (2.5, 24.0, 1.0)
    assert (work.first_step(1e7), work.has_bursts) == (1e7, False)
    assert work.next_due(2.5, previous_s=1e7, now_s=1e7 + 0.1, offset_s=0.0) == Due(1e7 + 2.5)
    with pytest.raises(LookupError, match="plain Locust has no scenario"):
        work.scenario  # noqa: B018


def test_what_a_scenario_says_of_its_users_is_what_they_go_by():
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


def test_beside_the_mix_a_kind_of_user_sends_what_it_is_called():
    """Also where there is a scenario, which doesn't know it."""
    work = work_of(mix={"balance": {"share": "100 %", "every": "2 s", "requests": ["login", "read"]}})
    assert (work.requests_of("balance"), work.requests_of("own")) == (("login", "read"), ("own",))


def test_a_secret_that_the_target_echoes_is_in_no_example(monkeypatch):
    """Not by its value: by its variable's name."""
    monkeypatch.setenv("TOKEN_OF_OURS", "s3cr3t-s3cr3t")
    recorded = manifest(scenario())
    target = recorded.target.model_copy(update={"headers": {"X-Key": "${TOKEN_OF_OURS}"}})
    recorder = work_of(run=recorded.model_copy(update={"target": target})).recorder
    answer = Answer(400, {}, b"no such user: s3cr3t-s3cr3t")
    recorder.failed("health", Request("GET", "/"), answer, ValueError("status 400"))
    (example,) = recorder.take(1.0, 1).failures
    assert example.body == "no such user: ${TOKEN_OF_OURS}"


DENIED = {"health": {"share": "50 %", "every": "1 s"}, "denied": {"like": "health", "share": "50 %", "every": "1 s"}}


def test_a_kind_with_addresses_of_its_own_connects_from_there():
    """The journal names the client by it, too."""
    DENIED["denied"]["addresses"] = "127.129.0.0/16"
    work = work_of(mix=DENIED)
    client, _ = work.clients.take("denied")
    assert (client.index, client.address) == (0, "127.129.0.1")
    assert work.clients._open_connection(client, "http://127.0.0.1:1")._source_address == client.address
    assert work.clients.seen_as(client, "http://127.0.0.1:1") == client.address
    assert work.clients.client(1).address == marks_of(1, "source-address", "127.0.0.1")[0]


def test_a_kind_that_is_like_another_has_a_class_of_its_own():
    """Under its own name; those of an earlier run go."""
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


def test_a_user_in_a_guise_takes_what_it_expects_and_nothing_else():
    """What it is refused is then `ok`, and no reply for its task."""
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
