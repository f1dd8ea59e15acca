"""Finds the four CSVs of one Locust run from the path given on the command line, whatever Locust called them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.foreign.locust.rows import EXCEPTIONS, FAILURES, HISTORY, LAYOUTS, STATS, Layout
from loadproof.analysis.foreign.records import cells_of, lines_of
from loadproof.errors import InputError, Problem, excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ENDINGS: Final = {
    "_stats_history.csv": HISTORY,
    "_stats.csv": STATS,
    "_requests.csv": STATS,
    "_failures.csv": FAILURES,
    "_exceptions.csv": EXCEPTIONS,
}
"""File names from --csv, and from the web UI's downloads, which use `_requests`.

Source: locust/web.py 2.47, request_stats_csv.
"""


@dataclass(frozen=True)
class CsvSet:
    directory: Path
    prefix: str
    """Empty if --csv was given a directory."""
    paths: Mapping[Layout, Path]
    """The paths of all four, whether they exist or not."""

    @property
    def name(self) -> str:
        return self.prefix or self.directory.resolve().name or "locust"

    @property
    def exists(self) -> bool:
        return any(path.exists() for path in self.paths.values())


def csv_set(path: Path) -> CsvSet:
    """Find the files by their prefix, a directory used as prefix, or one of them; InputError for any other file."""
    if path.is_dir():
        inside = _named(path, "")
        return inside if inside.exists or not path.name else _named(path.parent, path.name)
    for ending, layout in _ENDINGS.items():
        if path.name.endswith(ending):
            others = _named(path.parent, path.name.removesuffix(ending))
            return CsvSet(
                others.directory, others.prefix, {**others.paths, **({layout: path} if path.exists() else {})}
            )
    found = _named(path.parent, path.name)
    return _alone(path) if path.is_file() and not found.exists else found


def _named(directory: Path, prefix: str) -> CsvSet:
    paths = {layout: directory / f"{prefix}_{layout.name}.csv" for layout in LAYOUTS}
    downloaded = directory / f"{prefix}_requests.csv"
    if downloaded.exists() and not paths[STATS].exists():
        paths[STATS] = downloaded
    return CsvSet(directory, prefix, paths)


def _alone(path: Path) -> CsvSet:
    """The set of a single file with an unknown name, recognised by its first line."""
    with closing(lines_of(path)) as lines:
        line = next((line for line in lines if line.strip(b"\r\n")), b"")
    header = set(cells_of(line.rstrip(b"\r\n")))
    layout = next((layout for layout in LAYOUTS if set(layout.columns) <= header), None)
    if layout is None:
        remedy = "give the prefix of Locust's --csv, or one of its files; a log of requests goes with --log"
        got = line[:1000].decode(errors="backslashreplace").rstrip("\r\n")
        raise InputError(
            Problem(str(path), "not one of Locust's CSVs: its first line is different", remedy, got=excerpt(got))
        )
    paths = {**_named(path.parent, path.stem).paths, layout: path}
    return CsvSet(path.parent, path.stem, paths)
