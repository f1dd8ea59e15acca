"""Run directories that were damaged or tampered with: judged again, none of them may PASS."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.adversary.case import FAIL, INCONCLUSIVE, INVALID, PASS, REFUSED, Case
from bench.adversary.play import Judge
from simulation.rundirs import outcomes, write_run

NEVER_PASS = (FAIL, INCONCLUSIVE, INVALID, REFUSED)
UNKNOWN = (INCONCLUSIVE, INVALID, REFUSED)
INTERVALS, GENERATOR, MANIFEST = "intervals.csv.gz", "generator.csv", "manifest.json"
Damage = Callable[[Path], object]


def _damaged(
    name: str, tries: str, damage: Damage, *, kind: str | None = None, right: tuple[str, ...] = UNKNOWN, **truth: Any
) -> Case:
    """A run of a healthy target whose record was damaged."""

    def write(run: Path) -> None:
        write_run(run, **truth)
        damage(run)

    return Case(name=name, kind=kind or name, tries=tries, right=right, play=Judge(write=write))


def _as_it_was(_: Path) -> None:
    pass


def _lines(name: str, change: Callable[[list[str]], list[str]]) -> Damage:
    """Change the lines of a CSV, compressed or not; the first line is its header."""

    def damage(run: Path) -> None:
        path = run / name
        zipped = name.endswith(".gz")
        text = gzip.decompress(path.read_bytes()).decode() if zipped else path.read_text()
        changed = ("\n".join(change(text.splitlines())) + "\n").encode()
        path.write_bytes(gzip.compress(changed) if zipped else changed)

    return damage


def _bytes(name: str, change: Callable[[bytes], bytes]) -> Damage:
    return lambda run: (run / name).write_bytes(change((run / name).read_bytes()))


def _manifest(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(run: Path) -> None:
        manifest = json.loads((run / MANIFEST).read_text())
        change(manifest)
        (run / MANIFEST).write_text(json.dumps(manifest))

    return damage


def _gone(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def _cell(line: str, number: int, text: str) -> str:
    cells = line.split(",")
    cells[number] = text
    return ",".join(cells)


def _each(change: Callable[[str], str]) -> Callable[[list[str]], list[str]]:
    return lambda lines: [lines[0], *map(change, lines[1:])]


def _errors_are_ok(line: str) -> str:
    return _cell(line, 3, "fine") if ",server_error," in line else line


def _without_errors(lines: list[str]) -> list[str]:
    return [line for line in lines if ",server_error," not in line]


FAILING = outcomes(server_error=0.2)
CASES = (
    _damaged("undamaged", "a healthy run, judged again", _as_it_was, right=(PASS,)),
    _damaged(
        "undamaged, failing",
        "a fifth of the requests failed",
        _as_it_was,
        kind="undamaged",
        right=(FAIL,),
        outcomes_of=FAILING,
    ),
    _damaged("no intervals", "the measurements are gone", _gone(INTERVALS)),
    _damaged("empty intervals", "0 bytes", _bytes(INTERVALS, lambda _: b""), kind="no intervals"),
    _damaged(
        "half of the intervals",
        "the file is cut off in the middle",
        _bytes(INTERVALS, lambda data: data[: len(data) // 2]),
        kind="half of the intervals",
    ),
    _damaged(
        "noise instead of intervals", "bytes that are not gzip", _bytes(INTERVALS, lambda data: bytes(reversed(data)))
    ),
    _damaged("intervals twice", "every row appears twice", _bytes(INTERVALS, lambda data: data + data)),
    _damaged(
        "failures taken out",
        "a failing run without its errors",
        _lines(INTERVALS, _without_errors),
        right=NEVER_PASS,
        outcomes_of=FAILING,
    ),
    _damaged(
        "failures renamed",
        "an unknown outcome",
        _lines(INTERVALS, _each(_errors_are_ok)),
        right=NEVER_PASS,
        outcomes_of=FAILING,
    ),
    _damaged(
        "negative counts",
        "errors with a count of -1",
        _lines(INTERVALS, _each(lambda line: line if ",server_error," not in line else _cell(line, 6, "-1"))),
        right=NEVER_PASS,
        outcomes_of=FAILING,
    ),
    _damaged(
        "a phase is missing",
        "the bursts were never recorded",
        _lines(INTERVALS, lambda lines: [one for one in lines if ",bursts," not in one]),
    ),
    _damaged(
        "no generator.csv",
        "nothing recorded the generator",
        _gone(GENERATOR),
        kind="unwatched",
        right=(INVALID, REFUSED),
    ),
    _damaged(
        "generator.csv without rows",
        "nothing recorded the generator",
        _lines(GENERATOR, lambda lines: lines[:1]),
        kind="unwatched",
        right=(INVALID, REFUSED),
    ),
    _damaged(
        "seconds are missing",
        "five consecutive seconds without a row",
        _lines(GENERATOR, lambda lines: [*lines[:10], *lines[15:]]),
        right=(INVALID,),
    ),
    _damaged(
        "less was sent than planned", "a fifth of the plan, all of it successful", _as_it_was, right=UNKNOWN, lived_s=10
    ),
    _damaged("no manifest", "the plan is unknown", _gone(MANIFEST), right=(REFUSED, INVALID)),
    _damaged(
        "a manifest that is a list",
        "JSON of the wrong shape",
        _bytes(MANIFEST, lambda _: b"[]"),
        kind="no manifest",
        right=(REFUSED, INVALID),
    ),
    _damaged(
        "a truncated manifest",
        "as a full disk leaves it",
        _bytes(MANIFEST, lambda data: data[:200]),
        kind="no manifest",
        right=(REFUSED, INVALID),
    ),
    _damaged(
        "a manifest without thresholds",
        "nothing is expected",
        _manifest(lambda one: one["scenario"].update(thresholds=[])),
        right=UNKNOWN,
    ),
    _damaged(
        "a manifest from the future",
        "format 999",
        _manifest(lambda one: one.update(format=999)),
        right=(REFUSED, INVALID),
    ),
    _damaged("an unknown ending", "ended: perhaps", _manifest(lambda one: one.update(ending="perhaps")), right=UNKNOWN),
    _damaged(
        "killed", "the run never ended", _manifest(lambda one: one.update(ending=None)), right=UNKNOWN, lived_s=20
    ),
)
