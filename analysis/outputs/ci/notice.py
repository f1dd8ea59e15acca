"""Turns verdicts into notifications: JSON for a webhook, a few lines for a chat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from loadproof.analysis.estimates.summary import summary
from loadproof.analysis.inert import shortened
from loadproof.analysis.outputs.ci.judged import worst_exit_code
from loadproof.analysis.word import PRECEDENCE
from loadproof.errors import escaped
from loadproof.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.outputs.ci.judged import Judged

NOTICE_FORMAT: Final = 1
VERDICT: Final = "loadproof.verdict"
GATE: Final = "loadproof.gate"
LONGEST_TEXT: Final = 3500
"""Characters of a chat message: Telegram accepts 4096."""
_LONGEST_REASON: Final = 600
_SIGNS: Final = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "⚠️", "INVALID": "🚫"}


def notice_json(judged: Sequence[Judged], shown_at: Path | None, *, is_gate: bool, lenient: bool) -> str:
    """One verdict at the top level, or a gate's worst one with all of them under `scenarios`.

    `counts` are the whole run's requests by outcome, warm-up included; null if there is no run.
    """
    code = worst_exit_code(judged, lenient=lenient)
    worst = _deciding(judged, lenient=lenient)
    at = str(shown_at) if shown_at else None
    content: dict[str, Any] = {"type": GATE if is_gate else VERDICT, "format": NOTICE_FORMAT, "exit_code": int(code)}
    if is_gate:
        content |= {"word": worst.word, "reason": f"{worst.scenario}: {worst.reason}", "report": at}
        content["scenarios"] = [_verdict(entry) for entry in judged]
    else:
        content |= {**_verdict(worst), "report": at}
    return json.dumps(content)


def notice_text(judged: Sequence[Judged], shown_at: Path | None, *, is_gate: bool, lenient: bool) -> str:
    """A chat message as plain text; names and reasons are escaped."""
    worst = _deciding(judged, lenient=lenient)
    lines = [f"{_SIGNS.get(worst.word, '❔')} loadproof gate: {worst.word}"] if is_gate else []
    for entry in judged:
        target = f" against {entry.run.manifest.target.address}" if entry.run else ""
        lines.append(f"{_SIGNS.get(entry.word, '❔')} {entry.scenario}: {entry.word}{target}")
        lines.append(shortened(entry.reason, _LONGEST_REASON))
        if entry.run and (counts := _counts(entry.run)):
            lines.append(", ".join(f"{count:,} {name}" for name, count in counts.items() if count))
    if shown_at:
        lines.append(f"report: {shown_at}")
    return shortened("\n".join(map(escaped, lines)), LONGEST_TEXT)


def _deciding(judged: Sequence[Judged], *, lenient: bool) -> Judged:
    """The worst entry among those with the gate's exit code."""
    code = worst_exit_code(judged, lenient=lenient)
    deciding = [entry for entry in judged if entry.exit_code(lenient=lenient) == code] or list(judged)
    return min(deciding, key=lambda entry: PRECEDENCE.index(entry.word) if entry.word in PRECEDENCE else -1)


def _verdict(judged: Judged) -> dict[str, Any]:
    return {
        "word": judged.word,
        "reason": judged.reason,
        "next_step": judged.decided.next_step if judged.decided else None,
        "scenario": judged.scenario,
        "target": judged.run.manifest.target.address if judged.run else None,
        "run": judged.run.path.name if judged.run else None,
        "counts": _counts(judged.run) if judged.run else None,
    }


def _counts(run: Run) -> dict[str, int]:
    """Requests sent, by outcome, and dropped."""
    tallies = [row.tally for row in summary(run) if row.endpoint is None]
    counts = {"sent": sum(tally.sent for tally in tallies)}
    counts |= {str(outcome): sum(tally.outcomes[outcome] for tally in tallies) for outcome in Outcome}
    return counts | {"dropped": sum(tally.dropped for tally in tallies)}
