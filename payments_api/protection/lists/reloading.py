"""Values reloaded from files while the program runs; an unreadable version keeps the previous value in force."""

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
"""A file system that doesn't answer for this long counts as failed."""
_LARGEST_BYTES: Final = 8_388_608

T = TypeVar("T")


def read_file(path: Path) -> str:
    """The file's text; ValueError says in one line why it can't be read."""
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
    """What `read` returns or raises; ValueError if the file system hangs for longer. Only for use at startup."""
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
    """`value` is from the last version that could be parsed."""

    def __init__(self, path: Path, parse: Callable[[str], T], *, name: str, on_problem: OnProblem) -> None:
        """`name` becomes part of the incident's; ValueError if the first version is invalid: none precedes it."""
        self.path = path
        self._incident = f"list-{name}"
        self._parse = parse
        self._on_problem = on_problem
        self._is_wrong = False
        """Whether the last version checked was invalid."""
        self._is_reported = False
        """Whether an incident was reported whose end must be reported, too."""
        self._seen, text = in_time(lambda: (self._signature(), read_file(path)), path)
        self.value = parse(text)

    def check(self, *, even_if_unchanged: bool = False) -> None:
        """Read the file again if it has changed; each invalid version is reported once."""
        signature = self._signature()
        if signature != self._seen or even_if_unchanged:
            self._read(signature)
        if self._is_reported and not self._is_wrong:
            self._is_reported = False
            self._on_problem(f"{self._incident}-recovered", f"{self.path} is in force again")

    def note_hang(self, for_s: float) -> None:
        """Report that a check has hung for this long; call it from any thread, as often as you notice."""
        if not self._is_reported:
            self._report(f"no answer for {for_s:g} s")

    def _read(self, signature: tuple[int, ...]) -> None:
        try:
            value = self._parse(read_file(self.path))
        except Exception as error:  # noqa: BLE001 - whatever a file does to its parser, the next version must be read
            self._seen, self._is_wrong = signature, True
            self._report(str(error) if isinstance(error, ValueError) else repr(error))
            return
        # If it was written to while we read, half a list could pass for a whole one: leave it to the next check.
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
    """One file's checks, each in its own thread, so that a hanging file system only affects this file."""

    def __init__(self, file: ReloadedFile[Any], longest_s: float) -> None:
        self._file = file
        self._longest_s = longest_s
        self._thread: threading.Thread | None = None
        self._began_s = 0.0
        self._is_asked = False

    def again(self, *, is_asked: bool) -> None:
        """Start a check, unless the last one is still running; report that one if it takes too long."""
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
            # No more threads now; try again next time.
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
        """May be called again after `stop`."""
        if self._looks and self._thread is None:
            self._is_stopping = False
            self._thread = threading.Thread(target=self._watch, name="protection-lists", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop without waiting for checks: one that is still running doesn't keep the process from exiting."""
        if self._thread is not None:
            self._is_stopping = True
            self._wake.set()
            self._thread.join(5)
            self._thread = None

    def reload(self) -> None:
        """Read all files again soon, changed or not; safe in a signal handler."""
        self._is_asked = True
        self._wake.set()

    def _watch(self) -> None:
        while not self._is_stopping:
            self._wake.wait(self._poll_s)
            self._wake.clear()
            is_asked, self._is_asked = self._is_asked, False
            for look in self._looks:
                look.again(is_asked=is_asked)
