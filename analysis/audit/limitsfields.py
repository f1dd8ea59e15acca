"""Checks the fields RateLimit-Policy and RateLimit: whether they say what was declared, and what then happened.

Source: draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4: `"balance";q=30;w=60` and `"balance";r=29;t=60`, as
lists of RFC 9651; and draft 07, sections 2 and 3, which many servers still send: `30;w=60` and
`limit=30, remaining=29, reset=60`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.audit.limitswaits import SECOND_US

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.audit.limitsline import Line
    from loadproof.analysis.audit.limitsrefusals import Refusals
    from loadproof.scenario.limits import DeclaredLimit

_ITEM: Final = re.compile(
    r'(?:"[^"\\]*"|[A-Za-z*][\w!#$%&\'*+.^`|~:/-]*|(?P<amount>\d+))'
    r"(?P<parameters>(?:\s*+;\s*+[a-z*][a-z0-9_.*-]*+(?:=[^;,]++)?+)*+)"
)
"""Possessive: blanks that two parts could take would be tried in all divisions, for ever in a field made for that."""
_BETWEEN: Final = re.compile(r"\s*,\s*")
_OF_DRAFT_07: Final = {"limit": "q", "remaining": "r", "reset": "t"}
_MEMBER: Final = re.compile(r"(limit|remaining|reset)=(\d+)(?:\s*;[^,]*)?")
_NUMBERS: Final = frozenset("qrtw")
"""Parameters that are whole numbers, none below zero."""
_POLICY, _STATE = "rate_limit_policy", "rate_limit"
_NAMES: Final = {_POLICY: "RateLimit-Policy", _STATE: "RateLimit"}
_IN_WINDOWS: Final = frozenset({"moving-window", "fixed-window", "aligned-window"})


@dataclass(frozen=True)
class Stated:
    """What the fields showed: how many answers had them, and what was wrong with which rows of the line."""

    sent: int
    n: int
    """Of these, answers with a number that can be checked."""
    offences: list[tuple[int, str]]


def stated(line: Line, algorithm: str, found: Refusals) -> Stated:
    """`sent` is 0 if the target sends no such fields: it promises nothing by them."""
    noted = line.rows["noted"].to_numpy()
    rows = [row for row, text in enumerate(noted) if '"rate_limit' in text]
    offences: list[tuple[int, str]] = []
    if rows:
        left = _Left.of(line, algorithm)
        free_high = dict(zip(line.refused.tolist(), found.free_high.tolist(), strict=True))
        for row in rows:
            offences += [(row, what) for what in _wrong(line, row, json.loads(noted[row]), left, free_high)]
    said = [any(_own(json.loads(noted[row]).get(word, ""), line.limit) for word in _NAMES) for row in rows]
    return Stated(len(rows), sum(said), offences)


@dataclass(frozen=True)
class _Left:
    """By row, the least and the most that can be left of the amount after it."""

    least: np.ndarray
    most: np.ndarray

    @classmethod
    def of(cls, line: Line, algorithm: str) -> _Left:
        limit, reach = line.limit, line.window_us + line.slack_us
        most = np.full(len(line.rows), limit.size - 1)
        least = np.zeros(len(line.rows), dtype=np.int64)
        if algorithm in _IN_WINDOWS:
            counted = line.possible.begun(line.ended) - line.possible.over(line.sent - reach)
            is_known = line.sent - line.shift - line.since >= reach
            least = np.where(is_known | (line.since == 0), np.maximum(limit.amount - counted, 0), 0)
        if algorithm == "moving-window" and limit.processes == 1:
            surely = line.sure.over(line.sent) - line.sure.begun(line.ended - line.window_us + line.slack_us)
            most = np.minimum(most, limit.amount - 1 - np.maximum(surely, 0))
        return cls(least, np.maximum(most, 0))


def _wrong(line: Line, row: int, noted: dict[str, str], left: _Left, free_high: dict[int, int]) -> Iterator[str]:
    for word, name in _NAMES.items():
        if _items(noted.get(word, "")) is None:
            yield f"{name} can't be read: {noted[word][:80]}"
    policy, state = (_own(noted.get(word, ""), line.limit) for word in (_POLICY, _STATE))
    limit = line.limit
    if policy.get("q", limit.amount) != limit.amount and policy.get("q") != limit.size:
        yield f"RateLimit-Policy says q={policy['q']}, declared are {limit.amount}"
    if policy.get("w", limit.period) != limit.period:
        yield f"RateLimit-Policy says w={policy['w']}, declared are {limit.period:g} s"
    remaining, reset_s = state.get("r"), state.get("t")
    if line.is_refused[row]:
        if remaining:
            yield f"RateLimit says r={remaining} in a refusal"
        is_alone = limit.penalties is None and limit.processes == 1
        if is_alone and reset_s and line.sent[row] + (reset_s - 1) * SECOND_US > free_high[row]:
            yield f"RateLimit says t={reset_s}, more than a second too long"
    elif line.is_admitted[row] and remaining is not None and not left.least[row] <= remaining <= left.most[row]:
        yield f"RateLimit says r={remaining}; {left.least[row]} to {left.most[row]} can be left"
    if line.is_admitted[row] and reset_s is not None and reset_s > _longest_s(limit) + 1:
        yield f"RateLimit says t={reset_s}, more than a second too long"


def _longest_s(limit: DeclaredLimit) -> float:
    """Until all of the limit is there again: a window, the two that a sliding counter looks at, or a full bucket."""
    windows = 2 if limit.algorithm in {"sliding-counter", "unknown"} else 1
    return max(windows, limit.size / limit.amount) * limit.period


@lru_cache(maxsize=100_000)
def _items(text: str) -> list[dict[str, int]] | None:
    """The parameters of each item; None if it is in no draft's form, or has a number that can't be one."""
    if not text:
        return []
    parts = _BETWEEN.split(text.strip())
    members = [_MEMBER.fullmatch(part) for part in parts]
    if all(members):
        return [{_OF_DRAFT_07[member[1]]: int(member[2]) for member in members if member}]
    found = [_ITEM.fullmatch(part) for part in parts]
    items = [_parameters(match) for match in found if match is not None]
    kept = [item for item in items if item is not None]
    return kept if len(kept) == len(parts) else None


def _parameters(match: re.Match[str]) -> dict[str, int] | None:
    pairs = [part.partition("=") for part in match["parameters"].split(";") if "=" in part]
    numbers = {key.strip(): value.strip() for key, _, value in pairs if key.strip() in _NUMBERS}
    if match["amount"]:
        numbers.setdefault("q", match["amount"])
    if not all(value.isdecimal() for value in numbers.values()):
        return None
    return {key: int(value) for key, value in numbers.items()}


def _own(text: str, limit: DeclaredLimit) -> dict[str, int]:
    """The parameters of the only policy, or of the one that has what is declared; nothing where that is not known."""
    items = _items(text) or []
    if len(items) == 1:
        return items[0]
    return next((item for item in items if item.get("q") == limit.amount and item.get("w") == limit.period), {})
