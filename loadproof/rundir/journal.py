"""journal.csv.gz: a row per request, in gzip members that are appended during the run, and read back as lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import orjson

from loadproof.errors import escaped
from loadproof.rundir.files import append
from loadproof.rundir.members import MemberLines, packed
from loadproof.rundir.rows import JournalRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

HEADER: Final = ",".join(JournalRow._fields) + "\n"
LONGEST: Final = 300
"""Characters of a text in a row, as it was sent or answered; what is longer is cut."""
_SCALARS: Final = frozenset({int, float, bool, type(None)})
_WIDEST: Final = 2**63
_LONGEST_NOTE: Final = 2_000
"""Characters of the whole note about a request."""


def journal_lines(rows: Iterable[tuple[Any, ...]]) -> str:
    """Rows with a JournalRow's columns as CSV lines; only `retry_after` and `noted` may need quotes."""
    return "".join(["%s,%s,%s,%s,%d,%d,%d,%d,%s,%s,%d,%s\n" % row for row in rows])  # noqa: UP031 - half the time


def quoted(text: str) -> str:
    """A cell of CSV; `text` is one line."""
    return '"' + text.replace('"', '""') + '"' if text else ""


def noted_text(words: Mapping[str, Any]) -> str:
    """The note about a request as compact JSON on one line, whatever the values are.

    Values that JSON doesn't know are written as text; texts beyond LONGEST are cut, and surplus words left out.
    """
    if not words:
        return ""
    try:
        text = orjson.dumps(words, default=str).decode()
    except TypeError:
        text = _piecewise(words)
    if len(text) > LONGEST and not all(map(_fits, words.values())):
        text = _piecewise(words)
    if len(text) > _LONGEST_NOTE:
        text = _piecewise(dict(list(words.items())[: _LONGEST_NOTE // LONGEST]))
    # Rare; escaped, it is safe in terminals and in readers that split lines at other characters.
    return text if text.isprintable() else _ascii(json.loads(text))


def cut(value: Any, longest: int = LONGEST) -> Any:
    """The value, or the beginning of its text if that is too long; raises whatever the value's own `str` raises."""
    if type(value) is int and -_WIDEST <= value < _WIDEST:
        return value
    text = value if isinstance(value, str) else _ascii(value)
    return value if len(text) <= longest else f"{text[: longest - 1]}…"


def _fits(value: Any) -> bool:
    return len(value) <= LONGEST if type(value) is str else type(value) in _SCALARS


def _piecewise(words: Mapping[Any, Any]) -> str:
    """Value by value: users may note any object."""
    written = {}
    for word, value in words.items():
        try:
            value = cut(value)  # noqa: PLW2901 - as it is written
            written[str(word)[:LONGEST]] = value if isinstance(value, str) else json.loads(_ascii(value))
        except Exception:  # noqa: BLE001, S112 - its `str` raises, or it holds itself
            continue
    return _ascii(written)


def _ascii(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)


def header_text(text: str) -> str:
    """A header's text in one line, without characters that a terminal would obey; cut like others."""
    text = cut(text)
    return text if text.isprintable() else escaped(text)


def append_journal(path: Path, member: bytes) -> None:
    """Append one gzip member of journal lines; OSError if it can't be written."""
    append(path, member, header=packed(HEADER))


def read_journal(path: Path) -> MemberLines:
    """The CSV in blocks of complete lines, each of which is a whole row."""
    return MemberLines(path)
