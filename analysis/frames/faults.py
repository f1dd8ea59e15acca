"""Reads a run's faults from its events: what was injected, and from when to when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadproof.rundir.rows import FAULT_BEGUN, FAULT_EVENTS, FAULT_FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.frames.traffic import Traffic


@dataclass(frozen=True)
class Happened:
    """A planned fault, as far as it got; times in s from the run's start."""

    number: int
    """Its position in the scenario."""
    text: str
    """'pause of target'."""
    began_s: float | None = None
    ended_s: float | None = None
    trouble: str | None = None
    """Why it could not be injected, or not be undone."""
    is_targets: bool = False
    """The trouble is the target's own fault: it did not come back, or its backup failed."""

    @property
    def is_whole(self) -> bool:
        return None not in {self.began_s, self.ended_s} and self.trouble is None


def faults_in(traffic: Traffic) -> list[Happened]:
    """The faults that began or were tried, in that order."""
    by_number: dict[int, dict[str, Any]] = {}
    rows = traffic.events[traffic.events["kind"].isin(FAULT_EVENTS)]
    for at_s, kind, detail in _told(zip(rows["time_s"], rows["kind"], rows["detail"], strict=True)):
        text = f"command {detail['name']}" if "name" in detail else f"{detail['fault']} of {detail['of']}"
        fault = by_number.setdefault(detail["number"], {"number": detail["number"], "text": text})
        if kind == FAULT_FAILED:
            fault |= {"trouble": str(detail.get("reason", "")), "is_targets": bool(detail.get("is_targets"))}
        else:
            fault["began_s" if kind == FAULT_BEGUN else "ended_s"] = at_s
    return [Happened(**fault) for fault in by_number.values()]


def _told(rows: Iterator[tuple[float, str, str]]) -> Iterator[tuple[float, str, dict[str, Any]]]:
    """The events whose detail can be read, with the detail parsed."""
    for at_s, kind, text in rows:
        try:
            detail = json.loads(text)
        except ValueError:
            continue
        if isinstance(detail, dict) and {"number", "fault", "of"} <= detail.keys():
            yield at_s, kind, detail
