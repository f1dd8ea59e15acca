"""What undoes a command is run exactly once, whichever of the processes that could do so is killed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from loadproof.faults import keeper as keepers
from loadproof.faults.command import CommandOrder
from loadproof.faults.guard import heard

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


class Listening:
    """A guard that only listens."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def tell(self, what: str, number: int | str, owed: Any = True) -> None:
        self.lines.append(json.dumps([what, number, owed]).encode())

    def dismiss(self) -> None:
        self.tell("dismissed", 0)


def writing(path: Path, text: str, *, after_s: float = 0.0) -> CommandOrder:
    """An order that appends a line to a file, a little later."""
    line = f"sleep {after_s}; echo {text} >> written"
    return CommandOrder(["/bin/sh", "-c", line], {}, str(path), longest_s=10.0)


def lines_of(path: Path) -> list[str]:
    return (path / "written").read_text().split()


async def ended(keeper: keepers.Keeper, number: int) -> None:
    for _ in range(1_000):
        if (await keeper.obey({"command": "ask", "number": number}))["ended"]:
            return
        await asyncio.sleep(0.01)


async def keeping(path: Path, *, undo_s: float) -> keepers.Keeper:
    """A keeper that has run a command, and whose run has begun to undo it."""
    keeper, undo = keepers.Keeper(), writing(path, "undone", after_s=undo_s)
    done = {"order": asdict(writing(path, "done")), "undo": asdict(undo), "undoes": None}
    await keeper.obey({"command": "run", "number": 1, **done})
    await ended(keeper, 1)
    await keeper.obey({"command": "run", "number": 2, "order": asdict(undo), "undo": None, "undoes": 1})
    return keeper


@pytest.mark.parametrize("is_over", [False, True], ids=["at work", "just over"])
def test_a_command_being_undone_is_not_undone_again_if_the_run_is_killed(tmp_path, monkeypatch, is_over):
    """Nor is the undoing cut off."""
    monkeypatch.setattr(keepers, "Guard", Listening)

    async def keep() -> None:
        keeper = await keeping(tmp_path, undo_s=0.0 if is_over else 0.3)
        if is_over:
            await ended(keeper, 2)
        await keeper.undo()

    asyncio.run(keep())
    assert lines_of(tmp_path) == ["done", "undone"]


def test_a_command_not_yet_undone_is_undone_once_even_if_its_keeper_is_killed(tmp_path, monkeypatch):
    """The guard waits for an undo in progress, and does the rest."""
    listening = Listening()
    monkeypatch.setattr(keepers, "Guard", lambda: listening)
    orders = [asdict(writing(tmp_path, "done", after_s=9)), asdict(writing(tmp_path, "undone", after_s=0.3))]

    async def keep() -> None:
        keeper = keepers.Keeper()
        for number in (1, 2):
            run = {"order": orders[0], "undo": orders[1], "undoes": None}
            await keeper.obey({"command": "run", "number": number, **run})
        undoing = asyncio.create_task(keeper.undo())
        for _ in range(1_000):
            if sum(b'"undoing"' in line for line in listening.lines) == 2:
                break
            await asyncio.sleep(0.01)
        # Killed here: the second undo is running, and nobody hears how it ends.
        debts = heard(listening.lines)
        await asyncio.gather(asyncio.to_thread(lambda: asyncio.run(debts.settle())), undoing)

    asyncio.run(keep())
    assert lines_of(tmp_path) == ["undone", "undone"]


def test_an_undo_that_takes_too_long_is_ended(tmp_path):
    """As the process that began it would have done."""
    order = asdict(writing(tmp_path, "never", after_s=30)) | {"longest_s": 0.2}
    with subprocess.Popen(["/bin/sleep", "30"], start_new_session=True) as process:
        threading.Thread(target=process.wait).start()
        told = [["undo", 1, order], ["undoing", 1, process.pid]]
        asyncio.run(heard(json.dumps(line).encode() for line in told).settle())
        assert process.wait(5) != 0
    assert not (tmp_path / "written").exists()
