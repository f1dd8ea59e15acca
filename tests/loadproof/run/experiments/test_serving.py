"""A release started by a command: on its port, waited for, and gone with everything that it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from loadproof.errors import InputError, OwnWantError, TargetError, UnsafeTargetError
from loadproof.http.messages import WantError
from loadproof.run.experiments.serving import Served, Starting, served, target_at
from loadproof.run.target.ownclient import OwnClient
from loadproof.run.target.probe import probe
from loadproof.scenario.loading import load_scenario
from loadproof.scenario.target.targetfile import TargetFile
from tests.commands import ROOT, scenario_file
from tests.servers import answering, serving

SERVER = f"exec {sys.executable} -m http.server --bind 127.0.0.1 $PORT"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def up(tmp_path, command, *, wait_s=20.0):
    """Serve the release as a duel does."""
    scenario = load_scenario(scenario_file(tmp_path))
    starting = Starting(scenario, cores={0}, wait_s=wait_s, stop_requested=lambda: False)
    target = target_at(command, None, where="--candidate")
    with served(command, target, name="candidate", log=tmp_path / "log", starting=starting) as release:
        yield release, starting


def marked(text):
    """Other processes with this text in their command line."""
    others = (process for process in psutil.process_iter(["cmdline"]) if process.pid != os.getpid())
    return [process for process in others if text in " ".join(process.info["cmdline"] or ())]


@pytest.mark.process
def test_a_command_serves_on_its_given_port_and_is_gone_afterwards(tmp_path, monkeypatch):
    """It runs in the user's working directory, on the target's cores, and without our own secrets."""
    monkeypatch.setenv("LOADPROOF_SECRET", "ours")
    monkeypatch.setenv("LOCUST_USERS", "theirs")
    daemon = f"(setsid sleep 97{os.getpid()} &) ; env > {tmp_path}/env ; pwd > {tmp_path}/pwd ; "
    with up(tmp_path, daemon + SERVER) as (release, starting):
        (server,) = marked(f"http.server --bind 127.0.0.1 {release.target.base_url.rpartition(':')[2]}")
        assert server.cpu_affinity() == [0]
        assert marked(f"sleep 97{os.getpid()}")
        assert release.ended() is None
        assert release.gone(starting) == ""
    assert not psutil.pid_exists(server.pid)
    assert not marked(f"sleep 97{os.getpid()}")
    environment = (tmp_path / "env").read_text()
    assert "ours" not in environment
    assert "LOCUST_USERS=theirs" in environment
    assert (tmp_path / "pwd").read_text().strip() == str(Path.cwd())


@pytest.mark.process
def test_secrets_of_the_target_file_are_masked_in_the_log(tmp_path, monkeypatch):
    """Whatever the command prints."""
    monkeypatch.setenv("API_KEY", "hush-hush-hush")
    target = TargetFile(base_url="http://127.0.0.1", headers={"X-Key": "${API_KEY}"})
    starting = Starting(load_scenario(scenario_file(tmp_path)), {0}, wait_s=20, stop_requested=lambda: False)
    with served(f"echo $API_KEY; {SERVER}", target, name="baseline", log=tmp_path / "log", starting=starting):
        pass
    assert (tmp_path / "log").read_text().startswith("${API_KEY}\n")


@pytest.mark.process
def test_a_command_that_ends_before_it_answers_is_one_line(tmp_path):
    """With its exit code and its last words."""
    with pytest.raises(TargetError) as caught, up(tmp_path, "echo no database >&2; exit 3"):
        pass
    assert str(caught.value) == (
        f"candidate: its command ended with code 3 before it answered, got 'no database'; see {tmp_path}/log"
    )


@pytest.mark.process
def test_a_command_that_listens_elsewhere_is_an_error_with_the_right_port(tmp_path):
    """After the time that it may take."""
    with pytest.raises(TargetError) as caught, up(tmp_path, "sleep 60", wait_s=0.5):
        pass
    assert "its command runs, but doesn't answer: no HTTP answer to GET /health: Connection refused" in str(
        caught.value
    )
    assert "on the port in $PORT or in the place of {port}" in str(caught.value)


@pytest.mark.process
def test_a_command_that_dies_is_noticed(tmp_path):
    """With its exit code as a shell reports it."""
    with up(tmp_path, SERVER.replace("$PORT", "{port}")) as (release, starting):
        (server,) = marked(f"http.server --bind 127.0.0.1 {release.target.base_url.rpartition(':')[2]}")
        server.kill()
        until = time.monotonic() + 10
        while release.ended() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert release.ended() == release.gone(starting) == "its command ended with code 137"


@pytest.mark.process
@pytest.mark.parametrize("ignored", ["SIGUSR1", pytest.param("SIGTERM", marks=pytest.mark.long)])
def test_a_command_is_ended_if_its_starter_is_killed(tmp_path, ignored):
    """After SIGKILL the starter can't clean up; a child that ignores SIGTERM is killed, too, a while later."""
    deaf = tmp_path / f"deaf{os.getpid()}.py"
    deaf.write_text(f"import signal, time\nsignal.signal(signal.{ignored}, signal.SIG_IGN)\ntime.sleep(90)\n")
    program = (
        "import sys; from pathlib import Path; from tests.loadproof.run.experiments.test_serving import up, SERVER\n"
        f"with up(Path({str(tmp_path)!r}), '{sys.executable} {deaf} & ' + SERVER): print('up', flush=True); input()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with starter:
        assert starter.stdout.readline() == b"up\n"
        left = psutil.Process(starter.pid).children(recursive=True)
        assert len(left) >= 3
        starter.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(left, timeout=40)
    assert not alive


@pytest.mark.slow
def test_a_command_is_ended_if_its_overseer_is_killed(tmp_path):
    """Also daemons that have left its process group; the run only notices that the release is gone."""
    daemon = f"(setsid sleep 95{os.getpid()} &) ; "
    with up(tmp_path, daemon + SERVER) as (release, _):
        port = release.target.base_url.rpartition(":")[2]
        (server,) = marked(f"http.server --bind 127.0.0.1 {port}")
        (daemon,) = marked(f"sleep 95{os.getpid()}")
        overseer = server.parent()
        overseer.kill()
        assert psutil.wait_procs([server], timeout=10)[1] == []
        assert "ended" in release.ended()
    assert psutil.wait_procs([daemon, overseer], timeout=10)[1] == []


@pytest.mark.process
def test_a_url_is_only_probed(tmp_path):
    """It has to respond, and may be gone later."""
    with serving(answering(OK, then_close=True)) as url, up(tmp_path, url) as (release, starting):
        assert release.target.base_url == url
        assert release.ended() is None
        assert release.gone(starting) == ""
    assert "no HTTP answer to GET /health" in release.gone(starting)


@pytest.mark.process
def test_want_of_our_own_is_not_the_releases_death(tmp_path, monkeypatch):
    """The release was never asked; that its command has ended is known without asking."""
    with up(tmp_path, SERVER) as (release, starting):
        monkeypatch.setattr(OwnClient, "ask", _without_port)
        assert release.gone(starting) == ""
        with pytest.raises(OwnWantError, match="GET /health was not sent: the generator's own: no free port"):
            probe(release.target, starting.scenario)
        with pytest.raises(OwnWantError, match="free that resource on this machine"), up(tmp_path, SERVER, wait_s=0.1):
            pass
        monkeypatch.setattr(Served, "ended", lambda _: "its command ended with code 137")
        assert release.gone(starting) == "its command ended with code 137"


def _without_port(*_):
    raise WantError("ports", "EADDRNOTAVAIL")


def test_releases_that_may_not_be_loaded_are_refused():
    """The error names the place."""
    with pytest.raises(UnsafeTargetError, match=r"--candidate: this host is not on the allow list, got 'example.org'"):
        target_at("https://example.org", None, where="--candidate")
    assert target_at("https://example.org/v2/", None, where="--candidate", allowed=["example.org"]).base_url.endswith(
        "v2"
    )
    with pytest.raises(InputError, match="--baseline: nothing to run"):
        target_at(" ", None, where="--baseline")
    with pytest.raises(InputError, match="--baseline: not a base URL"):
        target_at("http://:80", None, where="--baseline")
