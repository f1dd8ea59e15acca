"""Cases whose verdict must come from an audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from bench.adversary.books import ACCOUNTS
from bench.adversary.case import FAIL
from bench.adversary.play import running
from bench.adversary.scenarios import closed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.adversary.case import Case, Check, Played
    from bench.adversary.scenarios import Scenario
    from bench.adversary.wire import Script

SHOWN = {
    "payments": {"path": "/audit/payments/{account}"},
    "snapshot": {"path": "/audit/accounts"},
    "effects": {"path": "/audit/effects/{event}"},
}
PAYING = {"ledger": {"share": "100 %", "every": "200 ms", "requests": ["transactions", "balance"]}}
DELIVERING = {"webhooks": {"share": "100 %", "every": "100 ms"}}
ASKING = {"balance": {"share": "100 %", "every": "80 ms"}}
LITTLE = {"expect": "goodput_ratio >= 2 %"}
"""A lenient threshold, so that the verdict is the audit's."""


def audit_of(audit: str, mix: dict[str, Any], *, seconds: int = 6, users: int = 20, **changes: Any) -> Scenario:
    detects = {} if audit == "limits" else {"detects": "1 in 50"}
    scenario = {
        "mix": mix,
        "phases": [{"name": "steady", "duration": f"{seconds} s", "users": users}],
        "thresholds": [{"audit": audit} | detects, LITTLE],
    }
    return closed(**scenario | changes)


def ledger(**changes: Any) -> Scenario:
    return audit_of("ledger", PAYING, **changes)


def webhooks(**changes: Any) -> Scenario:
    return audit_of("webhooks", DELIVERING, **changes)


def limits(mix: dict[str, Any] = ASKING, **changes: Any) -> Scenario:
    return audit_of("limits", mix, **{"seconds": 8, "users": 8, "expect_throttling": True} | changes)


def target(*, exclusive: bool = True, limits: dict[str, Any] | None = None) -> str:
    """The text of a target file, with the paths of the reference API."""
    content = {
        "base_url": "URL",
        "accounts": list(ACCOUNTS),
        "exclusive_accounts": exclusive,
        "endpoints": SHOWN,
        **({"limits": {"balance": limits}} if limits else {}),
    }
    return yaml.safe_dump(content)


def said_by_audit(*words: str) -> Check:
    def check(played: Played) -> Iterator[str]:
        said = [audited["word"] for audited in played.verdict.get("audits", [])]
        if len(said) != 1 or said[0] not in words:
            yield f"the audit says {' and '.join(said) or 'nothing'}, right is {' or '.join(words)}"

    return check


def audited(
    kind: str,
    name: str,
    tries: str,
    script: Callable[[], Script],
    scenario: Scenario,
    *,
    right: tuple[str, ...] = (FAIL,),
    target_file: str | None = None,
) -> Case:
    """A case with a run whose audit must reach one of these verdicts."""
    file = target() if target_file is None else target_file
    also = (said_by_audit(*right),)
    return running(kind, name, tries, right=right, also=also, script=script, scenario=scenario, target=file)
