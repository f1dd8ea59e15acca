"""Output streams that survive a lost reader, a full disk or a limited character set, so that no verdict is lost."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from typing import IO, Any, Final

_PLAIN: Final = {
    "·": "|",
    "±": "+-",
    "–": "-",
    "—": "-",
    "…": "...",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "µ": "u",
    "×": "x",
    "’": "'",
}
_IN_FEW_CHARACTERS: Final = "loadproof-plain"
_COMMAND: Final = re.compile(r"(##)(?=\[)|((?:^|[\r\n])\s*:)(?=:)")
"""What GitHub's runner obeys: `##[command]` anywhere, and `::command::` at the beginning of a line.

Source: ActionCommand.cs of actions/runner.
"""


class UnreadOutput:
    """A wrapper around a text stream that discards all output once writing to the stream has failed.

    `loadproof run … | head -n 1` must not cut a run short, and a full disk behind `>` must not lose its verdict: the
    exit code is the verdict's. If output is lost for any reason other than a reader that went away, standard error says
    so, if it still works.

    Where GitHub's runner reads the output, a blank is put into whatever it would take for a command: text from outside
    must not switch annotations off, or forge one.
    """

    def __init__(self, stream: IO[str], name: str = "") -> None:
        self._stream = stream
        self._name = name
        self._line = ""
        """The current line so far: a command may come in pieces."""
        self.is_for_github = "GITHUB_ACTIONS" in os.environ
        self.loss: OSError | None = None
        """The error since which nothing is written."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._write(self._harmless(text) if self.is_for_github else text)
        return len(text)

    def write_command(self, command: str) -> None:
        """Write a line that GitHub's runner is to obey."""
        self._write(f"{command}\n")
        self._line = ""

    def _harmless(self, text: str) -> str:
        line = _COMMAND.sub(r"\g<0> ", self._line + text)
        harmless = line[len(self._line) :]
        self._line = re.split(r"[\r\n]", line)[-1]
        return harmless

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except OSError as error:
            self._leave(error)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._leave(error)

    def _leave(self, error: OSError) -> None:
        self.loss = error
        # Discard what the stream still buffers, too, or Python would fail on it at exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        self._stream.flush()
        if self._name and not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"{self._name}: can't be written: {error.strerror}\n")


def take_outputs() -> None:
    """Make this process print to streams that never fail."""
    codecs.register_error(_IN_FEW_CHARACTERS, _plainly)
    # If an output is closed, Python has no stream for it.
    stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process lives
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(errors=_IN_FEW_CHARACTERS)
    sys.stdout = UnreadOutput(stdout, "standard output")
    sys.stderr = UnreadOutput(sys.stderr or open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - as above


def write_command(command: str) -> None:
    """Print a workflow command for GitHub's runner, with nothing in it that may pass for another one."""
    command = command.replace("##[", "## [")
    if isinstance(sys.stdout, UnreadOutput):
        sys.stdout.write_command(command)
    else:
        sys.stdout.write(f"{command}\n")


def guard_commands() -> None:
    """Let GitHub's runner obey nothing that is printed but what `write_command` prints, whatever the environment."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, UnreadOutput):
            stream.is_for_github = True


def note(text: object) -> None:
    """Print a note on standard error: not an error, so the program goes on with the same exit code."""
    sys.stderr.write(f"note: {text}\n")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Replace what the output's encoding lacks with the closest available text."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - nothing is decoded
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in text), error.end
