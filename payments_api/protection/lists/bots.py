"""Decides from the User-Agent and a set of rules whether to refuse a request as a bot's."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

RULES_FILE: Final = Path(__file__).with_name("bots.txt")
_ACTIONS: Final = ("allow", "deny", "strict")
_NONE: Final = "(none)"
_COMMENT: Final = re.compile(r"(^|\s)#.*")
_LONGEST: Final = 512
_REMEMBERED: Final = 4096


class BotRules:
    """`allow` overrides `deny`, which overrides `strict`; a User-Agent that matches no rule passes."""

    def __init__(self, parts: dict[str, list[str]]) -> None:
        self._patterns = {
            action: re.compile("|".join(map(re.escape, texts)), re.IGNORECASE) if texts else None
            for action, texts in ((action, [part for part in parts[action] if part != _NONE]) for action in _ACTIONS)
        }
        self._without = next((action for action in _ACTIONS if _NONE in parts[action]), None)
        self._size = sum(map(len, parts.values()))
        # One cache per object: the next version of the rules starts with an empty one.
        self._action_of = lru_cache(_REMEMBERED)(self._find_action)

    def __len__(self) -> int:
        return self._size

    def refuses(self, user_agent: bytes | None, *, is_strict: bool) -> bool:
        """Whether to refuse the request; None means no User-Agent, and so does one of only spaces."""
        action = self._action_of(user_agent[:_LONGEST] if user_agent else b"")
        return action == "deny" or (is_strict and action == "strict")

    def _find_action(self, user_agent: bytes) -> str | None:
        text = user_agent.decode("latin-1").strip()
        if not text:
            return self._without
        return next((action for action, pattern in self._patterns.items() if pattern and pattern.search(text)), None)


def parse_rules(text: str) -> BotRules:
    """One rule per line: an action and a part of the User-Agent; ValueError names the invalid lines.

    `#` at the beginning of a line, or after a space, starts a comment.
    """
    parts: dict[str, list[str]] = {action: [] for action in _ACTIONS}
    errors: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = _COMMENT.sub("", line).strip()
        if not content:
            continue
        action, part = [*content.split(maxsplit=1), ""][:2]
        if action in parts and part:
            parts[action].append(part)
        else:
            errors.append(f"line {number}: got {content[:60]!a}; write allow, deny or strict, and a part of the name")
    if errors:
        raise ValueError("; ".join(errors[:5]))
    return BotRules(parts)
