"""What all HTML pages share: templates that escape everything that isn't markup, and rows for thresholds."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import math
from typing import TYPE_CHECKING, Any, Final

import jinja2
from markupsafe import Markup

from loadproof.analysis.outputs.tables import answers, audit_cells, cells
from loadproof.errors import escaped
from loadproof.units import format_duration, sentence

if TYPE_CHECKING:
    from loadproof.analysis.audit.audit import Audited
    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.judge.judgement import Judgement
    from loadproof.scenario.thresholds.expectation import Expectation

TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("loadproof.analysis.report"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: value if isinstance(value, Markup) or not isinstance(value, str) else escaped_lines(value),
)
_SCRIPT_FILE: Final = importlib.resources.files("loadproof.analysis.report") / "templates/report.js"
_SCRIPT: Final = Markup(_SCRIPT_FILE.read_text(encoding="utf-8"))  # noqa: S704 - ours
TEMPLATES.globals["script"] = _SCRIPT
TEMPLATES.globals["script_hash"] = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
"""Lets the page's content security policy allow this script and no other."""
TEMPLATES.filters["duration"] = format_duration
TEMPLATES.filters["sentence"] = lambda text: f"{sentence(text)}."


def escaped_lines(text: str) -> str:
    """Like `escaped`, but keeps line breaks, because a scenario has several lines."""
    return "\n".join(map(escaped, text.split("\n")))


def threshold_row(judgement: Judgement) -> dict[str, Any]:
    word, scope, expect, value, interval, n = cells(judgement)
    return {
        "word": word,
        "scope": scope,
        "expect": expect,
        "value": value,
        "interval": interval,
        "n": n,
        "reason": judgement.reason,
        "answers": answers(judgement) if judgement.in_this_run else None,
        "mark": _mark(judgement.estimate, judgement.threshold.expectation),
    }


def audit_row(audited: Audited) -> dict[str, Any]:
    """An audit's row in the table of thresholds."""
    names = ("word", "scope", "expect", "value", "interval", "n")
    return dict(zip(names, audit_cells(audited), strict=True)) | {
        "reason": audited.reason,
        "answers": None,
        "mark": None,
    }


def _mark(estimate: Estimate | None, expectation: Expectation) -> dict[str, float] | None:
    """The interval and the limit, as percentages of a bar from 0 (or near the limit) to beyond both."""
    limit = expectation.limit
    if (
        estimate is None
        or estimate.below is not None
        or math.isinf(estimate.high)
        or estimate.low < 0
        or expectation.of_baseline
    ):
        return None
    high = max(estimate.high, limit) * 1.15 or 1.0
    low = 0.0
    if limit > 0 and min(estimate.low, limit) > 0.8 * max(estimate.high, limit):
        # Ratios near one: on a bar from zero, interval and limit would be a single point.
        margin = max(estimate.high - min(estimate.low, limit), limit * 0.01)
        low, high = min(estimate.low, limit) - margin, max(estimate.high, limit) + margin

    def percent(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    return {"low": percent(estimate.low), "high": percent(estimate.high), "limit": percent(limit)}
