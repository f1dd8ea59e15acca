"""Kills a backup or a restore once at each line of its code, and checks what that leaves behind.

`python -m tests.payments_api.backups.killing backup|restore DIRECTORY EVERY [s3://bucket]`: each attempt is a fork of
this process, which has only one thread, so that forking is safe; it kills itself at its line. Tries every EVERY-th
line. Prints how many of how many lines that were.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType

import payments_api.backups
from payments_api.backups.mistakes import WrongInputError
from payments_api.backups.proof.booting import prove_by_boot
from payments_api.backups.restoring import check_backup, restore
from payments_api.backups.storage.places import Place, backups_in, open_place, unfinished_in
from payments_api.backups.storage.retention import Keep
from payments_api.backups.taking import take_backup
from payments_api.ledger import create_database
from tests.payments_api.backups.books import leftovers, new_ledger, pay, transactions

CODE = str(Path(payments_api.backups.__file__).parent)
KEEP = Keep(1, 0, 0)
MOST = 400
Line = tuple[str, int]


def in_fork(work: Callable[[], None]) -> int:
    """Run `work` in a fork; returns its wait status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - it ends here
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitpid(child, 0)[1]


def traced(work: Callable[[], None], seen: Callable[[Line], None]) -> None:
    def look(frame: FrameType, event: str, _: object) -> object:
        if not frame.f_code.co_filename.startswith(CODE):
            return None
        if event == "line":
            seen((frame.f_code.co_filename, frame.f_lineno))
        return look

    sys.settrace(look)
    try:
        work()
    finally:
        sys.settrace(None)


def lines_of(work: Callable[[], None], file: Path) -> list[Line]:
    """The lines that `work` runs, in the order in which they are first reached."""

    def note() -> None:
        lines: dict[Line, None] = {}
        traced(work, lines.setdefault)
        file.write_text(json.dumps(list(lines)))

    assert in_fork(note) == 0, "it fails without being killed"
    return [(name, number) for name, number in json.loads(file.read_text())]


def kill_at(line: Line, work: Callable[[], None]) -> None:
    def kill(reached: Line) -> None:
        if reached == line:
            os.kill(os.getpid(), signal.SIGKILL)

    status = in_fork(lambda: traced(work, kill))
    assert os.WIFSIGNALED(status), f"not killed: {status}"
    assert os.WTERMSIG(status) == signal.SIGKILL


class Scene:
    """A ledger whose last payments are in its log, with three backups of earlier states."""

    def __init__(self, directory: Path, bucket: str) -> None:
        self.directory = directory
        self.ledger = directory / "data/ledger.sqlite3"
        self.target = directory / "new/ledger.sqlite3"
        self.where = f"{bucket}/{directory.name}" if bucket else str(directory / "place")

    def place(self) -> Place:
        return open_place(self.where, os.environ)

    def build(self, *, backups: int = 3) -> None:
        for name in ("data", "place", "new"):
            (self.directory / name).mkdir(parents=True)
        new_ledger(self.ledger)
        for number in range(backups):
            pay(self.ledger, range(100 * number + 100, 100 * number + 102))
            take_backup(self.ledger, self.place(), keep=KEEP)
        writer = sqlite3.connect(self.ledger, isolation_level=None)
        writer.execute("INSERT INTO webhook_events VALUES ('standard', 'in the log', 'now', x'00')")
        for file in self.ledger.parent.glob("ledger.sqlite3*"):
            shutil.copy(file, self.directory / "new")
        writer.close()
        shutil.rmtree(self.ledger.parent)
        (self.directory / "new").rename(self.ledger.parent)
        (self.directory / "new").mkdir()

    def back_up(self) -> None:
        take_backup(self.ledger, self.place(), keep=KEEP)

    def restore(self) -> None:
        restore(self.place(), self.target, None, prove=self.prove)

    def prove(self, file: Path) -> str:
        """Do to the file what a boot does, without starting a process for each line."""
        create_database(str(file), 2)
        return prove_by_boot.__name__

    def check_backup(self, before: int) -> None:
        """The ledger is unchanged; every backup is good; the next one works and leaves nothing behind."""
        assert events(self.ledger) == 1
        for backup in (found := backups_in(self.place())):
            check_backup(self.place(), backup, self.directory)
        assert len(found) >= min(before, 3)
        self.back_up()
        newest = backups_in(self.place())[0]
        manifest = check_backup(self.place(), newest, self.directory)
        assert manifest.contents["webhook_events"] == 1
        assert manifest.contents["transactions"] == len(transactions(self.ledger))
        if self.place().is_locked_by_us:
            assert unfinished_in(self.place()) == []
            assert len(backups_in(self.place())) == 3
            assert leftovers(self.directory / "place") == []
        assert leftovers(self.ledger.parent) == []

    def check_restore(self, _: int) -> None:
        """The new database is complete, and another restore is refused; or it isn't there, and a restore works."""
        newest = backups_in(self.place())[0]
        wanted = check_backup(self.place(), newest, self.directory).contents["transactions"]
        if self.target.exists():
            assert len(transactions(self.target)) == wanted
            try:
                self.restore()
            except WrongInputError:
                take_backup(self.target, self.place(), keep=KEEP)
            else:
                raise AssertionError("overwritten")
        else:
            self.restore()
        assert len(transactions(self.target)) == wanted
        assert leftovers(self.target.parent) == []
        assert events(self.ledger) == 1


def events(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count: int = database.execute("SELECT COUNT(*) FROM webhook_events").fetchone()[0]
    return count


def main(command: str, directory: Path, every: int, bucket: str = "") -> None:
    backups = 1 if bucket else 3
    model = Scene(directory / "model", "")

    def scene(number: int) -> Scene:
        """A copy of the scene; in a bucket it is built again under another prefix."""
        fresh = Scene(directory / f"{command}-{number}", bucket)
        if bucket:
            assert in_fork(lambda: fresh.build(backups=backups)) == 0
        else:
            shutil.copytree(model.directory, fresh.directory)
        return fresh

    def work(of: Scene) -> Callable[[], None]:
        return of.back_up if command == "backup" else of.restore

    if not bucket:
        assert in_fork(lambda: model.build(backups=backups)) == 0
    lines = lines_of(work(scene(0)), directory / "lines.json")
    assert len(lines) < MOST
    chosen = lines[::every]
    for number, line in enumerate(chosen, start=1):
        fresh = scene(number)
        kill_at(line, work(fresh))
        check = fresh.check_backup if command == "backup" else fresh.check_restore
        assert in_fork(lambda check=check: check(backups)) == 0, f"killed at {line}"
        shutil.rmtree(fresh.directory)
    sys.stdout.write(f"killed at {len(chosen)} of {len(lines)} lines\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
