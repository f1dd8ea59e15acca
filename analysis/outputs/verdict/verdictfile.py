"""Writes a verdict to verdict.json: for a run, for Locust's CSVs, or for a request log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.summary import summary, summary_of_groups
from loadproof.analysis.frames.bursts import bursts
from loadproof.analysis.outputs.verdict.runverdict import AuditsJson, VerdictJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.estimates.summary import SummaryRow
    from loadproof.analysis.foreign.locust.csvfiles import CsvException, LocustRun
    from loadproof.analysis.foreign.locust.entries import Entry
    from loadproof.analysis.foreign.logs.requestlog import RequestLog
    from loadproof.analysis.foreign.turningpoints.turningpoints import TurnSearch
    from loadproof.analysis.frames.bursts import ObservedBurst
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.judge.judgement import Judgement
    from loadproof.analysis.judge.verdict import Verdict

FORMAT: Final = 1
NO_VERDICT: Final = "No verdict: no thresholds were given."


@dataclass(frozen=True)
class Unjudged:
    """Stands in for a verdict if there are no thresholds."""

    word: None = None
    reason: str = NO_VERDICT
    next_step: None = None
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True)
class OfRun:
    """The source of VerdictJson."""

    run: Run
    verdict: Verdict
    baseline: Run | None
    bursts: Sequence[ObservedBurst]
    summary: Sequence[SummaryRow]
    groups: Sequence[SummaryRow]
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class OfCsvs:
    """The source of CsvVerdictJson; has the worst `endpoints`, and how many others there are."""

    run: LocustRun
    verdict: Verdict | Unjudged
    search: TurnSearch
    caveats: Sequence[str]
    exceptions: Sequence[CsvException]
    endpoints: Sequence[Entry]
    endpoints_left_out: int
    format: int = FORMAT


@dataclass(frozen=True)
class OfLog:
    """The source of LogVerdictJson."""

    log: RequestLog
    verdict: Verdict | Unjudged
    summary: Sequence[SummaryRow]
    format: int = FORMAT


@dataclass(frozen=True)
class OfAudits:
    """The source of AuditsJson."""

    run: Run
    verdict: Verdict
    format: int = FORMAT


def audit_json(run: Run, verdict: Verdict) -> str:
    return AuditsJson.of(OfAudits(run, verdict)).text()


def verdict_json(run: Run, verdict: Verdict, baseline: Run | None = None) -> str:
    return VerdictJson.of(OfRun(run, verdict, baseline, bursts(run), summary(run), summary_of_groups(run))).text()
