"""Turns the stored results into the table in docs/mutation.md: a row per file, and why mutants survived."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from bench.mutation.reasons import REASONS

_UNNOTICED: Final = {"", "no test", "crash"}
_OPEN: Final = "not looked into"
_SHOWN: Final = 60


def is_noticed(fate: dict[str, Any]) -> bool:
    """Whether a test failed or hung, or the constant couldn't be evaluated."""
    return fate["killed_by"] not in _UNNOTICED


def share(fates: Sequence[dict[str, Any]]) -> float:
    return sum(map(is_noticed, fates)) / max(len(fates), 1)


def shown(results: dict[str, Any]) -> str:
    parts = [_rows(results)]
    for name, group in results.items():
        if survivors := [fate for fate in group["fates"] if not is_noticed(fate)]:
            parts.append(f"**What survived in {name}**, by reason:")
            parts.append(_survivors(survivors))
    return "\n\n".join(parts)


def _rows(results: dict[str, Any]) -> str:
    lines = [
        "| file | mutants | tried | noticed | by time | survived |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, group in results.items():
        fates = group["fates"]
        when = f"{group['date']}, {group['machine']}, seed {group['seed']}"
        for path, planned in group["planned"].items():
            lines.append(_row(f"`{path}`", planned, [fate for fate in fates if fate["path"] == path]))
        lines.append(_row(f"**{name}** ({when})", sum(group["planned"].values()), fates))
    return "\n".join(lines)


def _row(name: str, planned: int, fates: Sequence[dict[str, Any]]) -> str:
    by_time = sum(fate["killed_by"] == "time" for fate in fates)
    noticed = f"{share(fates):.1%}" if fates else "–"
    return (
        f"| {name} | {planned:,} | {len(fates):,} | {noticed} | {by_time} | {sum(not is_noticed(f) for f in fates)} |"
    )


def _survivors(fates: Sequence[dict[str, Any]]) -> str:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for fate in fates:
        by_reason[reason_of(fate)].append(_cell(fate))
    ordered = sorted(by_reason.items(), key=lambda item: (item[0] == _OPEN, -len(item[1])))
    return "\n".join(f"- {reason} ({len(told)}): {'; '.join(told)}" for reason, told in ordered)


def reason_of(fate: dict[str, Any]) -> str:
    text = f"{fate['path']} {fate['within']}: {fate['told']}"
    return next((reason for pattern, reason in REASONS if fnmatch.fnmatchcase(text, pattern)), _OPEN)


def _cell(fate: dict[str, Any]) -> str:
    told = fate["told"] if len(fate["told"]) <= _SHOWN else f"{fate['told'][: _SHOWN - 1]}…"
    file = fate["path"].rpartition("/")[2].removesuffix(".py")
    return f"`{file}.{fate['within']}` `{told.replace('`', '').replace('|', '/')}`"
