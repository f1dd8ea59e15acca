"""The setup of deploy/fly in a container: its image, settings and commands, with S3-compatible storage."""

from __future__ import annotations

import re
import shlex
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest
import requests

from loadproof.run.machine.ports import free_port
from tests.commands import ROOT
from tests.containers import IMAGE, docker, in_containers, need_engine
from tests.payments_api.backups.storage.storage import Storage, running_storage

FLY = tomllib.loads((ROOT / "deploy/fly/fly.toml").read_text(encoding="utf-8"))
README = (ROOT / "deploy/fly/README.md").read_text(encoding="utf-8")
DATA = FLY["mounts"]["destination"]
RESTORED = re.search(r"restore --database (\S+)\"", README)[1]
TAG = "loadproof-test-fly"
USER = "10001"
PAYMENT = {"debit": "acct-000000", "credit": "acct-000001", "amount": 250, "currency": "EUR"}


def ask(url: str, *, without: str = "\n\n\n") -> requests.Response:
    """The first answer with 200 that no longer contains this text."""
    for _ in range(300):
        with suppress(requests.ConnectionError):
            answer = requests.get(url, timeout=5)
            if answer.status_code == 200 and without not in answer.text:
                return answer
        time.sleep(0.2)
    raise AssertionError(docker("logs", TAG))


@contextmanager
def machine(environment: Mapping[str, str]) -> Iterator[str]:
    """Run a machine with the volume, as in fly.toml; yields its address. It is stopped as Fly would."""
    variables = [f"--env={name}={value}" for name, value in environment.items()]
    vm = ["--init", "--network=host", "--memory=512m", f"--stop-signal={FLY['kill_signal']}", f"--volume={TAG}:{DATA}"]
    started = docker("run", "--detach", f"--name={TAG}", *vm, *variables, TAG)
    try:
        assert started.returncode == 0, started.stderr
        url = f"http://127.0.0.1:{environment['PORT']}"
        ask(f"{url}{FLY['http_service']['checks'][0]['path']}")
        yield url
        docker("stop", "--time", FLY["kill_timeout"].removesuffix("s"), TAG)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", TAG).stdout == "0\n"
    finally:
        docker("rm", "--force", TAG)


def console(command: str) -> str:
    """The output of a command in `fly ssh console`, which runs as root and outside the image's directory."""
    done = docker("exec", "--user=root", "--workdir=/", TAG, *shlex.split(command), timeout_s=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """The environment of fly.toml, but with a port and storage of this machine; builds the image and a new volume."""
    need_engine()
    stage = ("--target", FLY["build"]["build-target"], "--build-arg", f"PYTHON_IMAGE={IMAGE}")
    built = docker("build", "--network=host", *stage, "--tag", TAG, str(ROOT), timeout_s=600)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    docker("volume", "create", TAG)
    with running_storage() as endpoint:
        storage = Storage(endpoint, re.match("s3://([^/]+)/", FLY["env"]["BACKUP_TO"])[1])
        storage.client().create_bucket(Bucket=storage.bucket)
        yield FLY["env"] | storage.environment | {"PORT": str(free_port())}
    docker("volume", "rm", TAG)


@in_containers
@pytest.mark.timeout(900)
def test_the_fly_machine_is_backed_up_and_restored(environment):
    """With a new volume, which belongs to root, and the commands in the README."""
    commands = [
        re.sub(r"\\(.)", r"\1", line) for line in re.findall(r'^fly ssh console -C "(.+)"', README, re.MULTILINE)
    ]
    own = [command for command in commands if "-m payments_api" in command]
    (metrics,) = [command for command in commands if "/metrics" in command]
    with machine(environment) as url:
        paid = requests.post(f"{url}/transactions", json=PAYMENT, headers={"Idempotency-Key": "one"}, timeout=10)
        assert paid.status_code == 201, paid.text
        ask(f"{url}/metrics", without="backup_newest_good_timestamp_seconds 0.0\n")
        metrics_url = f"http://127.0.0.1:{FLY['env']['PORT']}/metrics"
        assert metrics_url in metrics
        assert console(metrics.replace(metrics_url, f"{url}/metrics")) == "200\n"
        assert requests.get(f"{url}/metrics", headers={"Fly-Client-IP": "203.0.113.1"}, timeout=10).status_code == 404
        shown = "".join(map(console, own))
        assert re.match(
            r"backed up .+\n(.+ is good: .+\n){2}restored .+, 1 transactions,.+ the API starts on it", shown
        )
        files = f"{DATA} {FLY['env']['DATABASE']} {RESTORED}"
        assert set(console(f"stat --format=%u {files}").split()) == {USER}
        assert re.search(rf"{USER} +python -m payments_api\n", docker("top", TAG, "-eo", "pid,uid,args").stdout)
    with machine(environment | {"DATABASE": RESTORED}) as url:
        assert ask(f"{url}/balance/{PAYMENT['credit']}").json()["balance"] == 1_000_250
