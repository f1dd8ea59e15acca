"""Reads a plain request log, a CSV from any tool, into chunks of rows: times in seconds, statuses as numbers."""

from __future__ import annotations

import io
import re
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final

import pandas as pd

from loadproof.analysis.foreign.logs.order import LogOrder
from loadproof.analysis.foreign.logs.times import LAST_S, TIME_COLUMNS, LogTimes, numbers_in, time_columns
from loadproof.analysis.foreign.records import Records, blocks_of, cells_of, repeated
from loadproof.errors import InputError, Problem, excerpt, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PACKED: Final = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz"}
"""The first bytes of compressed files."""
COLUMNS: Final = ("seconds", "name", "response_ms", "status")
"""The columns' names here; in the file, the name of the first may say its unit instead."""
_NUMBERS: Final = ("seconds", "response_ms", "status")
_LONGEST_MS: Final = 1e12
"""Thirty years: anything longer is not a time."""
_STATUS: Final = re.compile(r"^\s*(?:HTTP/[\d.]+ +)?(\d{3})\b")
_CODE: Final = r"(?<!\d)\d{3}(?!\d)"
_UPSTREAMS: Final = re.compile(r"\s*(?:\d{3}, )+\d{3}")
"""nginx's notation for several upstreams tried in turn; the client received the last one's answer."""


@dataclass
class LogRows:
    """The rows of one log; its counts are complete once all chunks have been read."""

    path: Path
    unit_ms: float = 1.0
    """Milliseconds of one in the column `response_ms`."""
    requests: int = 0
    unreadable: int = 0
    """Lines that were left out."""
    untimed: int = 0
    """Requests with a status but no time."""
    texts_as_status: int = 0
    """Requests whose status is a text, because they got no answer, like JMeter's 'Non HTTP response code'."""
    are_whole: bool = True
    """Every response time is a whole number."""
    times: LogTimes = field(default_factory=LogTimes)
    order: LogOrder = field(default_factory=LogOrder)
    _first: str = ""
    """The first line that could not be read."""
    _statuses: int = 0
    _status_text: str = ""
    _odd_times: int = 0
    """Requests with something unreadable in place of a time."""
    _first_odd: str = ""

    def chunks(self, most_rows: int) -> Iterator[pd.DataFrame]:
        """The four columns, in chunks of up to `most_rows`; InputError if they are missing, or if no line can be read.

        `response_ms` is nan if it can't be read. `status` is nan for a line that is left out; such a line's second, if
        unreadable, is taken from a neighbour.
        """
        with closing(blocks_of(self.path)) as blocks:
            yield from self._chunks(blocks, most_rows)

    def _chunks(self, blocks: Iterator[list[bytes]], most_rows: int) -> Iterator[pd.DataFrame]:
        header, rest = self._header(blocks)
        records = Records(len(header))
        places = [header.index(name) for name in COLUMNS]
        batch: list[bytes] = []
        for block in chain([rest], blocks, [None]):
            batch += list(records.end()) if block is None else records.add_block(block)
            while len(batch) >= most_rows or (block is None and batch):
                yield self._known(_table(batch[:most_rows], places, len(header)), batch[:most_rows])
                batch = batch[most_rows:]
        self.unreadable += records.skipped
        self._first = self._first or records.first_skipped.decode(errors="backslashreplace").rstrip("\r\n")
        self._refuse()

    def _header(self, blocks: Iterator[list[bytes]]) -> tuple[list[str], list[bytes]]:
        """The names of the columns, and the rest of the block after that line."""
        block = next((lines for lines in blocks if any(line.strip(b"\r\n") for line in lines)), [])
        place = next((place for place, line in enumerate(block) if line.strip(b"\r\n")), 0)
        line = block[place] if block else b""
        header = cells_of(line.rstrip(b"\r\n"))
        times = time_columns(header)
        missing = [name for name in COLUMNS if name not in header and not (name == "seconds" and times)]
        if not line:
            raise InputError(Problem(str(self.path), "can't be read: it is empty", "give a CSV of requests"))
        if missing:
            remedy = _how_to_head(line, header)
            got = line[:200].decode(errors="backslashreplace").rstrip("\r\n")
            raise InputError(Problem(str(self.path), f"no column {', '.join(missing)}", remedy, got=excerpt(got)))
        if twice := [name for name in repeated(header) if name in (*COLUMNS, *TIME_COLUMNS)]:
            what = f"several columns are called {' and '.join(map(printable, twice))}"
            raise InputError(Problem(str(self.path), what, "keep one of each: it is unclear which one counts"))
        if len(times) > 1:
            what = f"several columns are times: {' and '.join(times)}"
            raise InputError(Problem(str(self.path), what, "rename all but one: it is unclear which one counts"))
        self.times = LogTimes(times[0])
        return ["seconds" if name == times[0] else name for name in header], block[place + 1 :]

    def _known(self, table: pd.DataFrame, batch: list[bytes]) -> pd.DataFrame:
        """The table with nan for what can't be read; counts what is left out, including lines that pandas dropped."""
        seconds = self.times.seconds(table["seconds"])
        times = numbers_in(table["response_ms"])
        self.are_whole = self.are_whole and bool((times.dropna() % 1 == 0).all())
        times *= self.unit_ms
        is_timed = times.between(0, _LONGEST_MS)
        status, texts = self._status(table["status"])
        # Statuses from 1 to 99 don't exist: they come from lines cut off within the status.
        code = status.fillna(0.0)
        known = seconds.between(0, LAST_S) & ((code == 0) | code.between(100, 999)) & (code % 1 == 0)
        # Many tools write no time after a timeout; the status is enough then.
        known &= is_timed | status.notna()
        odd = table.loc[known & ~is_timed, "response_ms"].dropna()
        self._odd_times += len(odd)
        self._first_odd = self._first_odd or str(next(iter(odd), ""))
        self.untimed += int((known & ~is_timed).sum())
        if known.sum() < len(batch) and not self._first:
            bad = known.to_numpy().argmin() if len(table) == len(batch) else 0
            self._first = batch[bad].decode(errors="backslashreplace").rstrip("\r\n")
        self.requests += int(known.sum())
        self.unreadable += len(batch) - int(known.sum())
        self.texts_as_status += int((texts & known).sum())
        seconds = seconds.where(seconds.between(0, LAST_S))
        self.order.add(seconds, table["name"])
        table["seconds"] = seconds.ffill().bfill()
        table["response_ms"] = times.where(is_timed)
        table["status"] = status.fillna(0.0).where(known)
        return table

    def _status(self, written: pd.Series[float]) -> tuple[pd.Series[float], pd.Series[bool]]:
        """Statuses as numbers, nan without an answer and -1 if ambiguous; and which of the nan were texts."""
        numbers = numbers_in(written)
        texts = numbers.isna() & written.notna()
        if texts.any():
            texts &= written.astype(str) != ""
        if texts.any():
            words = written[texts].astype(str)
            leading = pd.to_numeric(words.str.extract(_STATUS)[0], errors="coerce")
            last = pd.to_numeric(words.where(words.str.fullmatch(_UPSTREAMS)).str[-3:], errors="coerce")
            codes = words.str.count(_CODE)
            is_clear = (codes == 0) | ((codes == 1) & leading.notna())
            numbers[texts] = leading.where(is_clear, -1.0).where(last.isna(), last)
            texts &= numbers.isna()
            self._status_text = self._status_text or str(next(iter(written[texts]), ""))
        self._statuses += int((numbers >= 0).sum())
        return numbers, texts

    def _refuse(self) -> None:
        where = str(self.path)
        if self.requests and self.texts_as_status and not self._statuses:
            remedy = "give the HTTP status of each response, and 0 where there was none"
            raise InputError(Problem(where, "no status in it is a number", remedy, got=excerpt(self._status_text)))
        if self._odd_times and self.untimed == self.requests:
            what = "no `response_ms` in it can be read"
            raise InputError(Problem(where, what, "give milliseconds, as a number", got=excerpt(self._first_odd)))
        if not self.requests and self.unreadable:
            lines = f"not one of its {self.unreadable:,} lines" if self.unreadable > 1 else "not its only line"
            what = f"{lines} can be read"
            remedy = (
                "give `seconds` since the start or since 1970, or as a time of ISO 8601, `response_ms` in milliseconds "
                f"and the HTTP status, in as many columns as the first line names: {', '.join(COLUMNS)}"
            )
            raise InputError(Problem(where, what, remedy, got=excerpt(self._first)))
        if not self.requests:
            remedy = f"give a CSV with the columns {', '.join(COLUMNS)}"
            raise InputError(Problem(where, "no requests: it has nothing but a header", remedy))


def _how_to_head(line: bytes, header: list[str]) -> str:
    """How to fix a first line that lacks columns, by what it looks like."""
    named = f"name the columns {', '.join(COLUMNS)} in its first line"
    if packed := next((name for magic, name in _PACKED.items() if line.startswith(magic)), None):
        return f"it is compressed ({packed}): unpack it first"
    if divider := next((mark for mark in (";", "\t", "|") if len(header) == 1 and mark in header[0]), None):
        return f"divide its columns by commas instead of {printable(divider)}, also in its first line; {named}"
    if {name.strip().lower() for name in header} >= set(COLUMNS):
        return f"{named}, in lower case and without spaces around them"
    return named


def _table(batch: list[bytes], places: list[int], columns: int) -> pd.DataFrame:
    """Read by pandas if it splits the lines as we do, otherwise one by one."""
    text = b"\n".join(batch)
    names = {str(place): name for place, name in zip(places, COLUMNS, strict=True)}
    numbers = {place: [""] for place, name in names.items() if name in _NUMBERS}
    try:
        table = pd.read_csv(
            io.BytesIO(text),
            header=None,
            names=list(map(str, range(columns))),
            usecols=list(names),
            dtype={str(places[COLUMNS.index("name")]): "category"},
            encoding="latin-1",
            keep_default_na=False,
            na_values=numbers,
        )
    except (ValueError, OverflowError):
        table = None
    # pandas cuts texts at a NUL.
    if table is None or len(table) != len(batch) or b"\0" in text:
        cells = [found for record in batch if len(found := cells_of(record)) == columns]
        table = pd.DataFrame(cells, columns=list(map(str, range(columns))), dtype=object)
    table = table[list(names)].rename(columns=names)
    return table.assign(name=table["name"].astype("category"))
