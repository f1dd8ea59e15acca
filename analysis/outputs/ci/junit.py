"""Writes a verdict as JUnit XML: case names are stable from run to run; measured values are in the messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.outputs.dates import iso_text
from loadproof.analysis.word import Word
from loadproof.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadproof.analysis.audit.audit import Audited
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.judge.finding import Finding
    from loadproof.analysis.judge.verdict import Verdict

_KINDS: Final = {Word.FAIL: "failure", Word.INCONCLUSIVE: "error", Word.INVALID: "error"}
"""FAIL is a failure; INCONCLUSIVE and INVALID are errors, not failures."""
TRUSTED: Final = "the measurement can be trusted"
HELD: Final = "no failures beyond the thresholds"
_READ_BY: Final = {TRUSTED: (Word.INVALID, Word.INCONCLUSIVE), HELD: (Word.FAIL,)}
"""The cases for findings, and the verdicts that fail them."""


@dataclass(frozen=True)
class Case:
    name: str
    word: Word
    message: str
    took_s: float


def junit_xml(run: Run, verdict: Verdict) -> str:
    """A suite with one case per threshold, per audited promise, and per kind of finding.

    A threshold's time is the measured time of the phases that it reads.
    """
    scenario = run.manifest.scenario
    lived_s = {span.name: max(min(span.end_s, run.measured_s) - span.start_s, 0.0) for span in run.phases}
    took_s = [
        sum(lived_s[phase] for phase in Scope.of(threshold, scenario).phases) for threshold in scenario.thresholds
    ]
    cases = [
        *_threshold_cases(verdict, took_s),
        *_promise_cases(verdict.audits, run.measured_s),
        *_finding_cases(verdict.findings, run.measured_s),
    ]
    return junit_suite(
        scenario.name,
        cases,
        took_s=run.measured_s,
        notes=_notes(verdict.findings),
        at=iso_text(run.manifest.start_unix_s),
    )


def file_cases(verdict: Verdict, took_s: float) -> list[Case]:
    """For another tool's data: one case per threshold, and one for findings that decided; nothing else is promised."""
    findings = (case for case in _finding_cases(verdict.findings, took_s) if case.word is not Word.PASS)
    return [*_threshold_cases(verdict, [took_s] * len(verdict.judgements)), *findings]


def _threshold_cases(verdict: Verdict, took_s: Sequence[float]) -> Iterator[Case]:
    """One case per threshold; if the same expectation occurs more than once, it is numbered."""
    times: Counter[str] = Counter()
    for judgement, each_s in zip(verdict.judgements, took_s, strict=True):
        name = f"{judgement.threshold.scope}: {judgement.threshold.expect}"
        times[name] += 1
        yield Case(name if times[name] == 1 else f"{name} ({times[name]})", judgement.word, judgement.reason, each_s)


def _promise_cases(audits: Sequence[Audited], took_s: float) -> Iterator[Case]:
    """One case per promise; for an audit without evidence, one for the audit itself."""
    for audited in audits:
        name = f"audit of {audited.audit}"
        if not audited.evidence:
            yield Case(name, audited.word, audited.reason, took_s)
        for promise in audited.evidence:
            yield Case(f"{name}: {promise.promise}", promise.word, promise.reason, took_s)


def _finding_cases(findings: Sequence[Finding], took_s: float) -> Iterator[Case]:
    for name, words in _READ_BY.items():
        broken = [finding for word in words for finding in findings if finding.word is word]
        message = " | ".join(f"{finding.what}; {finding.remedy}" for finding in broken)
        yield Case(name, broken[0].word if broken else Word.PASS, message, took_s)


def _notes(findings: Sequence[Finding]) -> str:
    notes = (finding for finding in findings if finding.is_note)
    return "\n".join(f"note: {escaped(note.what)}; {escaped(note.remedy)}" for note in notes)


def junit_suite(name: str, cases: Sequence[Case], *, took_s: float, notes: str = "", at: str = "") -> str:
    """One test suite as an XML document; `took_s` in s, `at` an ISO 8601 time."""
    name = f"loadproof.{escaped(name)}"
    kinds = [_KINDS.get(case.word) for case in cases]
    counts = {"tests": len(cases), "failures": kinds.count("failure"), "errors": kinds.count("error")}
    attributes = {"name": name, **{key: str(count) for key, count in counts.items()}, "time": f"{took_s:.3f}"}
    suite = ElementTree.Element("testsuite", attributes | ({"timestamp": at} if at else {}))
    for case, kind in zip(cases, kinds, strict=True):
        shown = {"classname": name, "name": escaped(case.name), "time": f"{case.took_s:.3f}"}
        element = ElementTree.SubElement(suite, "testcase", shown)
        if kind is not None:
            ElementTree.SubElement(element, kind, type=case.word, message=escaped(case.message))
    if notes:
        ElementTree.SubElement(suite, "system-out").text = notes
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
