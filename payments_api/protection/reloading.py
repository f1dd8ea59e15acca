"""Values that follow their files while the program runs; a version that can't be read keeps the previous value."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from payments_api.protection.reporting import OnProblem

_POLL_S: Final = 1.0
_LONGEST_S: Final = 10.0
"""After which a file system that doesn't answer counts as one that fails."""
_LARGEST_BYTES: Final = 8_388_608

T = TypeVar("T")


def read_file(path: Path) -> str:
    """ValueError says in one line why it can't be read."""
    try:
        # Opening a named pipe would otherwise wait until somebody writes to it.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(f"{path} is not a regular file; give one")
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"can't read {path}: {error.strerror}") from None
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"{path} has more than {_LARGEST_BYTES} bytes; shorten it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8; save it as UTF-8") from None


def in_time(read: Callable[[], T], path: Path, within_s: float = _LONGEST_S) -> T:
    """What `read` returns or raises; ValueError if a file system that hangs keeps it longer. For the start alone."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(read())
        except Exception as error:  # noqa: BLE001 - raised again below
            result.set_exception(error)

    threading.Thread(target=run, name="protection-list", daemon=True).start()
    try:
        return result.result(within_s)
    except TimeoutError:
        raise ValueError(f"can't read {path}: no answer for {within_s:g} s") from None


class ReloadedFile(Generic[T]):
    """`value` is that of the last version that could be parsed."""

    def __init__(self, path: Path, parse: Callable[[str], T], *, name: str, on_problem: OnProblem) -> None:
        """`name` is part of the incident's; ValueError if the first version is wrong: there is no previous one."""
        self.path = path
        self._incident = f"list-{name}"
        self._parse = parse
        self._on_problem = on_problem
        self._is_wrong = False
        """About the last version that was checked."""
        self._is_reported = False
        """An incident, whose end will be."""
        self._seen, text = in_time(lambda: (self._signature(), read_file(path)), path)
        self.value = parse(text)

    def check(self, *, even_if_unchanged: bool = False) -> None:
        """Read it again if it has changed; each wrong version is reported once."""
        signature = self._signature()
        if signature != self._seen or even_if_unchanged:
            self._read(signature)
        if self._is_reported and not self._is_wrong:
            self._is_reported = False
            self._on_problem(f"{self._incident}-recovered", f"{self.path} is in force again")

    def note_hang(self, for_s: float) -> None:
        """A check has not ended for so long; callable from another thread, as often as it is noticed."""
        if not self._is_reported:
            self._report(f"no answer for {for_s:g} s")

    def _read(self, signature: tuple[int, ...]) -> None:
        try:
            value = self._parse(read_file(self.path))
        except Exception as error:  # noqa: BLE001 - whatever a file does to its parser, the next one is read
            self._seen, self._is_wrong = signature, True
            self._report(str(error) if isinstance(error, ValueError) else repr(error))
            return
        # Somebody wrote while we read: half a list must not pass for a whole one, the next check will tell.
        if self._signature() == signature:
            self._seen, self.value, self._is_wrong = signature, value, False

    def _report(self, why: str) -> None:
        self._is_reported = True
        self._on_problem(f"{self._incident}-not-reloaded", f"{self.path}: the previous version stays in force: {why}")

    def _signature(self) -> tuple[int, ...]:
        try:
            status = self.path.stat()
        except OSError:
            return ()
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class _Look:
    """One file's checks, each in a thread of its own: a file system that hangs holds up nothing but this file."""

    def __init__(self, file: ReloadedFile[Any], longest_s: float) -> None:
        self._file = file
        self._longest_s = longest_s
        self._thread: threading.Thread | None = None
        self._began_s = 0.0
        self._is_asked = False

    def again(self, *, is_asked: bool) -> None:
        """Unless the last one hasn't ended; that is reported if it takes too long."""
        self._is_asked |= is_asked
        if self._thread is not None and self._thread.is_alive():
            if time.monotonic() - self._began_s > self._longest_s:
                self._file.note_hang(self._longest_s)
            return
        asked = {"even_if_unchanged": self._is_asked}
        thread = threading.Thread(target=self._file.check, kwargs=asked, name="protection-list", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No more threads now: the next time.
            return
        self._thread, self._began_s, self._is_asked = thread, time.monotonic(), False


class Watcher:
    """Checks files once a second outside the event loop, so that a long list never delays a request."""

    def __init__(
        self, files: Sequence[ReloadedFile[Any]], *, poll_s: float = _POLL_S, longest_s: float = _LONGEST_S
    ) -> None:
        self._looks = [_Look(file, longest_s) for file in files]
        self._poll_s = poll_s
        self._wake = threading.Event()
        self._is_asked = False
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Also after `stop`."""
        if self._looks and self._thread is None:
            self._is_stopping = False
            self._thread = threading.Thread(target=self._watch, name="protection-lists", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """At once: a check that hasn't ended goes on alone, and keeps nobody from exiting."""
        if self._thread is not None:
            self._is_stopping = True
            self._wake.set()
            self._thread.join(5)
            self._thread = None

    def reload(self) -> None:
        """Soon, changed or not; safe in a signal handler."""
        self._is_asked = True
        self._wake.set()

    def _watch(self) -> None:
        while not self._is_stopping:
            self._wake.wait(self._poll_s)
            self._wake.clear()
            is_asked, self._is_asked = self._is_asked, False
            for look in self._looks:
                look.again(is_asked=is_asked)
