"""Values that follow their files while the program runs; a version that can't be read keeps the previous value."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

_POLL_S: Final = 1.0
_LARGEST_BYTES: Final = 8_388_608

T = TypeVar("T")
OnProblem = Callable[[str, str], object]
"""Gets an incident's name and what happened; called from the thread that watches, or from the event loop."""


def read_file(path: Path) -> str:
    """ValueError says in one line why it can't be read."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"can't read {path}: {error.strerror}") from None
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"{path} has more than {_LARGEST_BYTES} bytes; shorten it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8; save it as UTF-8") from None


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
        self._seen = self._signature()
        self.value = parse(read_file(path))

    def check(self, *, even_if_unchanged: bool = False) -> None:
        """Read it again if it has changed; each wrong version is reported once."""
        signature = self._signature()
        if signature == self._seen and not even_if_unchanged:
            return
        try:
            value = self._parse(read_file(self.path))
        except ValueError as error:
            self._seen, self._is_wrong = signature, True
            self._on_problem(
                f"{self._incident}-not-reloaded", f"{self.path}: the previous version stays in force: {error}"
            )
            return
        # Somebody wrote while we read: half a list must not pass for a whole one, the next check will tell.
        if self._signature() == signature:
            self._seen, self.value = signature, value
            if self._is_wrong:
                self._is_wrong = False
                self._on_problem(f"{self._incident}-recovered", f"{self.path} is in force again")

    def _signature(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


class Watcher:
    """Checks files once a second in its own thread, so that a long list never delays a request."""

    def __init__(self, files: Sequence[ReloadedFile[Any]], *, poll_s: float = _POLL_S) -> None:
        self._files = files
        self._poll_s = poll_s
        self._wake = threading.Event()
        self._is_asked = False
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._files and self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="protection-lists", daemon=True)
            self._thread.start()

    def stop(self) -> None:
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
            for file in self._files:
                file.check(even_if_unchanged=is_asked)
