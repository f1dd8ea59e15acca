"""Commands that a run starts: what they get, what is recorded, and that they end in time and are undone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from loadproof.generator.guards.leftovers import is_alive
from loadproof.plan.faultspans import FaultSpan
from loadproof.run.faults.commands import commands_of
from loadproof.run.faults.faults import Faults
from loadproof.run.faults.keeperclient import FaultError, fault_keeper
from loadproof.rundir.commands import read_commands
from loadproof.scenario.faults import NamedCommand
from loadproof.scenario.target.targetfile import TargetFile

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    with fault_keeper(tmp_path_factory.mktemp("keeper"), cores=set()) as keeper:
        yield keeper


def target_with(path: Path, **commands: Any) -> TargetFile:
    target = TargetFile(base_url="http://127.0.0.1:1", commands=commands)
    placed = {name: command.placed_in(path) for name, command in target.commands.items()}
    return target.model_copy(update={"commands": placed})


def test_a_command_gets_the_variables_it_names_and_its_secrets_are_masked(tmp_path, keeper, monkeypatch):
    """In its environment and in its arguments, which no shell reads; only the end of long output is kept."""
    monkeypatch.setenv("VAULT_KEY", "s3cret-of-the-vault")
    monkeypatch.setenv("NOT_NAMED", "something else")
    shown = ["python3", "-c", "import os, sys; print(99_999 * '-', os.environ, *sys.argv[1:])"]
    target = target_with(
        tmp_path,
        show={"run": [*shown, "$HOME; ls `pwd` ${VAULT_KEY}", "{backup}"], "environment": ["VAULT_KEY"]},
    )
    done = commands_of(target, keeper, tmp_path).begin("show", {"backup": "/the/place"}).wait()
    assert done.is_done
    assert "'VAULT_KEY': '${VAULT_KEY}'" in done.output
    assert done.output.endswith("$HOME; ls `pwd` ${VAULT_KEY} /the/place\n")
    assert "NOT_NAMED" not in done.output
    assert "'PATH'" in done.output
    assert len(done.output) == 4_000
    assert read_commands(tmp_path) == [done]
    assert "s3cret" not in "".join(file.read_text() for file in tmp_path.iterdir())
    assert done.arguments[-1] == "{backup}"


def test_a_commands_recorded_time_includes_its_start(tmp_path):
    """A backup's recorded end must not be earlier than its real one, so time counts from the order on."""

    class Slow:
        def run(self, number: int, *_: Any, **__: Any) -> int:
            time.sleep(0.2)
            return number

        def ended(self, _: int) -> dict[str, Any]:
            return {"how": "exited", "code": 0, "took_s": 1.0, "output": ""}

    slow: Any = Slow()
    done = commands_of(target_with(tmp_path, backup=["x", "{backup}"]), slow, tmp_path).begin("backup").wait()
    assert done.took_s >= 1.2


def test_a_command_that_takes_too_long_is_ended_with_all_its_processes(tmp_path, keeper):
    """Even if it ignores SIGTERM."""
    stubborn = "trap '' TERM; sleep 60 & echo it sleeps as $!; sleep 60"
    commands = commands_of(target_with(tmp_path, stay=["sh", "-c", stubborn]), keeper, tmp_path)
    done = commands.begin("stay", longest_s=1.0).wait()
    assert (done.how, done.code) == ("overdue", -9)
    assert 1 <= done.took_s < 20
    (pid,) = (int(word) for word in done.said.split() if word.isdecimal())
    assert not (psutil.pid_exists(pid) and is_alive(psutil.Process(pid)))
    assert done.text.startswith("stay did not end within 3")


def test_a_command_has_ended_even_if_a_detached_process_holds_its_output(tmp_path, keeper):
    """A server that a backup starts on purpose may stay, and isn't waited for."""
    code = "import subprocess; print(subprocess.Popen(['sleep', '20'], start_new_session=True).pid, flush=True)"
    commands = commands_of(target_with(tmp_path, detach=[sys.executable, "-c", code]), keeper, tmp_path)
    done = commands.begin("detach", longest_s=19.0).wait()
    left = psutil.Process(int(done.said))
    assert is_alive(left)
    left.kill()
    assert done.is_done


def test_a_missing_program_is_reported_and_recorded(tmp_path, keeper):
    """It may have existed before the run."""
    commands = commands_of(target_with(tmp_path, gone=["./gone.sh"]), keeper, tmp_path)
    with pytest.raises(FaultError, match=r"gone did not start: FileNotFoundError"):
        commands.begin("gone")
    assert [done.how for done in read_commands(tmp_path)] == ["unstarted"]


def fault(name: str, undo: str | None = None) -> FaultSpan:
    return FaultSpan(0, NamedCommand(fault="command", phase="steady", name=name, undo=undo, lasts="500 ms"), 0.0, 0.5)


def noted_of(
    target: TargetFile, keeper: Any, path: Path, span: FaultSpan, *, until: Callable[[list[Any]], object]
) -> list[tuple[str, dict[str, Any]]]:
    """The events of this fault, in a run that ends as soon as `until` is true of them."""
    faults, noted = Faults([span], keeper), []
    faults.commands = commands_of(target, keeper, path)
    faults.begin(time.time(), lambda kind, detail: noted.append((kind, json.loads(detail))))
    deadline_s = time.monotonic() + 10
    while not until(noted) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    faults.end()
    return noted


def two(noted: list[Any]) -> bool:
    return len(noted) == 2


def test_a_command_is_undone_by_another_one_when_its_time_is_over(tmp_path, keeper):
    """The events span both commands."""
    target = target_with(tmp_path, cut=["touch", "cut"], mend=["rm", "cut"])
    began_s = time.monotonic()
    noted = noted_of(target, keeper, tmp_path, fault("cut", "mend"), until=two)
    assert time.monotonic() - began_s >= 0.5
    assert [kind for kind, _ in noted] == ["fault_begun", "fault_ended"]
    assert noted[0][1] == {"number": 0, "fault": "command", "of": "target", "name": "cut"}
    assert not (tmp_path / "cut").exists()
    assert [(done.name, done.fault, done.code) for done in read_commands(tmp_path)] == [("cut", 0, 0), ("mend", 0, 0)]


def test_without_an_undo_a_command_ends_when_its_program_ends(tmp_path, keeper):
    """Not when its time is over."""
    began_s = time.monotonic()
    noted = noted_of(target_with(tmp_path, cut=["true"]), keeper, tmp_path, fault("cut"), until=two)
    assert time.monotonic() - began_s < 0.5
    assert [kind for kind, _ in noted] == ["fault_begun", "fault_ended"]


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ({"cut": ["sh", "-c", "echo no scissors; exit 3"]}, "cut exited with 3 after"),
        ({"cut": ["sleep", "60"]}, "cut did not end within"),
        ({"cut": ["touch", "cut"], "mend": ["false"]}, "mend exited with 1 after"),
        ({"cut": ["./gone.sh"]}, "cut did not start"),
    ],
    ids=str,
)
def test_a_failed_command_is_reported_and_not_blamed_on_the_target(tmp_path, keeper, commands, reason):
    """With its exit code and its last line."""
    undo = "mend" if "mend" in commands else None
    noted = noted_of(
        target_with(tmp_path, **commands),
        keeper,
        tmp_path,
        fault("cut", undo),
        until=lambda noted: any(kind == "fault_failed" for kind, _ in noted),
    )
    (failed,) = (detail for kind, detail in noted if kind == "fault_failed")
    assert reason in failed["reason"]
    assert not failed.get("is_targets")
    if "scissors" in str(commands):
        assert failed["reason"].endswith("no scissors")


def test_a_run_that_ends_early_stops_and_undoes_its_command(tmp_path, keeper):
    """Before the command's time is over."""
    span = fault("cut", "mend")._replace(end_s=60.0)
    target = target_with(tmp_path, cut=["sh", "-c", "touch cut; sleep 60"], mend=["rm", "cut"])
    noted = noted_of(target, keeper, tmp_path, span, until=lambda _: (tmp_path / "cut").exists())
    assert [kind for kind, _ in noted] == ["fault_begun", "fault_ended"]
    assert not (tmp_path / "cut").exists()
    assert [(done.name, done.how) for done in read_commands(tmp_path)] == [("cut", "stopped"), ("mend", "exited")]


KILLED = """
import os, sys, time
from pathlib import Path
from loadproof.run.faults.commands import commands_of
from loadproof.run.faults.keeperclient import fault_keeper
from tests.loadproof.run.faults.test_commands import target_with
path = Path(sys.argv[1])
target = target_with(path, cut=["sh", "-c", "echo $$ > cut; sleep 60"], mend=["mv", "cut", "mended"])
with fault_keeper(path, cores=set()) as keeper:
    commands = commands_of(target, keeper, path)
    place = commands.place("restored")
    commands.begin("cut", undo="mend")
    print(place, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("also_keeper", [False, True])
def test_a_killed_run_leaves_no_command_running_and_everything_undone(tmp_path, also_keeper):
    """It also leaves no files and no keeper processes, even if the first keeper is killed with it."""
    run = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    place = run.stdout.readline().strip()
    deadline_s = time.monotonic() + 10
    while not ((tmp_path / "cut").exists() and (tmp_path / "cut").read_text()):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    command = psutil.Process(int((tmp_path / "cut").read_text()))
    (keeper,) = psutil.Process(run.pid).children()
    left = [keeper, *keeper.children(recursive=True)]
    assert command in left
    if also_keeper:
        run.send_signal(signal.SIGSTOP)
        keeper.kill()
    run.kill()
    run.communicate()
    assert psutil.wait_procs(left, timeout=20)[1] == []
    assert (tmp_path / "mended").exists()
    assert not (tmp_path / "cut").exists()
    assert not Path(place).exists()


def test_a_run_with_a_full_disk_still_undoes_its_command(tmp_path, monkeypatch):
    """The failed write is reported, and the process that runs commands still does the undoing."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("loadproof.run.faults.commands.append_command", full)
    target = target_with(tmp_path, cut=["touch", "cut"], mend=["mv", "cut", "mended"])
    with fault_keeper(tmp_path, cores=set()) as keeper:
        noted = noted_of(target, keeper, tmp_path, fault("cut", "mend"), until=two)
    assert [kind for kind, _ in noted] == ["fault_begun", "fault_failed"]
    assert "No space left on device" in noted[1][1]["reason"]
    assert (tmp_path / "mended").exists()
    assert not read_commands(tmp_path)
