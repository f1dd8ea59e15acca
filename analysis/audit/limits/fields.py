"""Checks the fields RateLimit-Policy and RateLimit: whether they match what was declared, and what happened.

Source: draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4: `"balance";q=30;w=60` and `"balance";r=29;t=60`, as
lists of RFC 9651; and draft 07, sections 2 and 3, which many servers still send: `30;w=60` and
`limit=30, remaining=29, reset=60`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.audit.limits.remaining import left_of, misplaced
from loadproof.analysis.audit.limits.waits import NEVER_US, SECOND_US

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from loadproof.analysis.audit.limits.refusals import Before, Refusals
    from loadproof.analysis.audit.limits.remaining import Left
    from loadproof.analysis.audit.limits.timeline import Line
    from loadproof.analysis.audit.limits.windows import FixedWindows
    from loadproof.scenario.target.limits import DeclaredLimit

_ITEM: Final = re.compile(
    r'(?P<name>"[^"\\]*"|[A-Za-z*][\w!#$%&\'*+.^`|~:/-]*|(?P<amount>\d+))'
    r"(?P<parameters>(?:\s*+;\s*+[a-z*][a-z0-9_.*-]*+(?:=[^;,]++)?+)*+)"
)
"""Possessive quantifiers, because a hostile field with many blanks would otherwise cause endless backtracking."""
_BETWEEN: Final = re.compile(r"\s*,\s*")
_OF_DRAFT_07: Final = {"limit": "q", "remaining": "r", "reset": "t"}
_MEMBER: Final = re.compile(r"(limit|remaining|reset)=(\d+)(?:\s*;[^,]*)?")
_NUMBERS: Final = frozenset("qrtw")
"""Parameters that are non-negative integers."""
_POLICY, _STATE = "rate_limit_policy", "rate_limit"
_NAMES: Final = {_POLICY: "RateLimit-Policy", _STATE: "RateLimit"}


@dataclass(frozen=True)
class Stated:
    """What the fields showed: how many answers had them, and which rows of the line were wrong, and how."""

    sent: int
    n: int
    """How many of these had a number that can be checked."""
    offences: list[tuple[int, str]]


def stated(
    line: Line, algorithms: Sequence[str], refused: Refusals, *, windows: FixedWindows, before: Before
) -> Stated:
    """Check the fields of a line whose limit may have any of `algorithms`; `sent` is 0 if the target sends none."""
    texts = line.rows["noted"].to_numpy()
    noted = {row: json.loads(text) for row, text in enumerate(texts) if '"rate_limit' in text}
    if not noted:
        return Stated(0, 0, [])
    allowed = _Allowed.of(line, algorithms, refused, windows=windows, before=before)
    offences = [(row, what) for row, fields in noted.items() for what in _wrong(line, row, fields, allowed)]
    if list(algorithms) == ["aligned-window"] and line.limit.processes == 1:
        offences += _misplaced(line, noted)
    said = [any(_own(fields, word, line.limit) for word in _NAMES) for fields in noted.values()]
    return Stated(len(noted), sum(said), offences)


@dataclass(frozen=True, eq=False)
class _Allowed:
    """What each row's fields may say: how much may be left after it, and when the limit may have reset."""

    left: Left
    soonest: NDArray[np.int64]
    latest: NDArray[np.int64]

    @classmethod
    def of(
        cls, line: Line, algorithms: Sequence[str], refused: Refusals, *, windows: FixedWindows, before: Before
    ) -> _Allowed:
        soonest = np.full(len(line.rows), NEVER_US)
        latest = np.full(len(line.rows), np.iinfo(np.int64).max)
        if list(algorithms) == ["fixed-window"]:
            number = windows.of(line.sent, line.ended)
            soonest[number >= 0] = windows.end_low[number[number >= 0]]
        soonest[line.refused] = np.maximum(soonest[line.refused], refused.free_low)
        if line.limit.penalties is None and line.limit.processes == 1:
            latest[line.refused] = refused.free_high
        return cls(left_of(line, algorithms, windows, before), soonest, latest)


def _wrong(line: Line, row: int, noted: dict[str, str], allowed: _Allowed) -> Iterator[str]:
    for word, name in _NAMES.items():
        if _items(noted.get(word, "")) is None:
            yield f"{name} can't be read: {noted[word][:80]}"
    policy, state = (_own(noted, word, line.limit) for word in (_POLICY, _STATE))
    limit = line.limit
    if policy.get("q", limit.amount) != limit.amount and policy.get("q") != limit.size:
        yield f"RateLimit-Policy says q={policy['q']}, but {limit.amount} were declared"
    if policy.get("w", limit.period) != limit.period:
        yield f"RateLimit-Policy says w={policy['w']}, but {limit.period:g} s were declared"
    remaining = state.get("r")
    if line.is_refused[row]:
        # A penalty refuses whatever is left of the limit.
        if remaining and limit.penalties is None:
            yield f"RateLimit says r={remaining} in a refusal"
    elif line.is_admitted[row] and remaining is not None:
        least, most = int(allowed.left.least[row]), int(allowed.left.most[row])
        if not least <= remaining <= most:
            yield f"RateLimit says r={remaining}; {least} to {most} can be left"
    if "t" in state:
        yield from _wrong_reset(line, row, state["t"], allowed)


def _wrong_reset(line: Line, row: int, reset_s: int, allowed: _Allowed) -> Iterator[str]:
    """Check a reset time; it may be off by a second, because it is rounded."""
    # It may not fit into numpy's integers.
    sent, ended, soonest = int(line.sent[row]), int(line.ended[row]), int(allowed.soonest[row])
    if sent + (reset_s - 1) * SECOND_US > int(allowed.latest[row]) or (
        line.is_admitted[row] and reset_s > _longest_s(line.limit) + 1
    ):
        yield f"RateLimit says t={reset_s}, more than a second too long"
    elif ended + (reset_s + 1) * SECOND_US < soonest - line.slack_us:
        yield f"RateLimit says t={reset_s}, more than a second too short"


def _misplaced(line: Line, noted: Mapping[int, dict[str, str]]) -> Iterator[tuple[int, str]]:
    left = {row: _own(fields, _STATE, line.limit).get("r") for row, fields in noted.items()}
    # More can't be left, which is another offence.
    most = line.limit.amount
    admitted = np.array(
        [(row, min(r, most)) for row, r in left.items() if r is not None and line.is_admitted[row]], dtype=np.int64
    )
    rows, numbers = admitted.reshape(-1, 2).T
    for at in np.flatnonzero(misplaced(line, rows, numbers)):
        yield int(rows[at]), f"RateLimit says r={numbers[at]}, as if a window had begun where no other one did"


def _longest_s(limit: DeclaredLimit) -> float:
    """The longest time until the limit is full again: a window, a sliding counter's two windows, or a full bucket."""
    windows = 2 if limit.algorithm in {"sliding-counter", "unknown"} else 1
    return max(windows, limit.size / limit.amount) * limit.period


@lru_cache(maxsize=100_000)
def _items(text: str) -> list[tuple[str, dict[str, int]]] | None:
    """The name and parameters of each item; None if the text matches no draft, or has an invalid number."""
    if not text:
        return []
    parts = _BETWEEN.split(text.strip())
    members = [_MEMBER.fullmatch(part) for part in parts]
    if all(members):
        return [("", {_OF_DRAFT_07[member[1]]: int(member[2]) for member in members if member})]
    found = [_ITEM.fullmatch(part) for part in parts]
    items = [(match["name"].strip('"'), _parameters(match)) for match in found if match is not None]
    kept = [(name, item) for name, item in items if item is not None]
    return kept if len(kept) == len(parts) else None


def _parameters(match: re.Match[str]) -> dict[str, int] | None:
    pairs = [part.partition("=") for part in match["parameters"].split(";") if "=" in part]
    numbers = {key.strip(): value.strip() for key, _, value in pairs if key.strip() in _NUMBERS}
    if match["amount"]:
        numbers.setdefault("q", match["amount"])
    if not all(value.isdecimal() for value in numbers.values()):
        return None
    return {key: int(value) for key, value in numbers.items()}


def _own(fields: Mapping[str, str], word: str, limit: DeclaredLimit) -> dict[str, int]:
    """What one of the fields says about this limit; empty if unknown.

    Of several policies, it is the one with the declared amount and period, matched by its name or amount.
    """
    policies, items = _items(fields.get(_POLICY, "")) or [], _items(fields.get(word, "")) or []
    if len(policies) < 2 and len(items) == 1:
        return items[0][1]
    own = {name: item for name, item in policies if item.get("q") == limit.amount and item.get("w") == limit.period}
    if word == _POLICY:
        return next(iter(own.values()), {})
    names, amounts = Counter(name for name, _ in policies), Counter(item.get("q") for _, item in policies)

    def is_own(name: str, item: Mapping[str, int]) -> bool:
        """What two policies have in common tells neither of them."""
        if "q" in item and amounts[item["q"]] <= 1:
            return item["q"] == limit.amount
        return name in own and names[name] == 1

    return next((item for name, item in items if is_own(name, item)), {})
