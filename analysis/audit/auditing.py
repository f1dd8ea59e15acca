"""Runs the audits that a scenario's thresholds name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.audit import Audited, audited
from loadproof.analysis.audit.journalaudits import backup_audit, is_whole, ledger_audit, webhooks_audit
from loadproof.analysis.audit.limits.evasions import EVASIONS
from loadproof.analysis.audit.limits.limits import audit_limits
from loadproof.analysis.audit.limits.losses import losses_of
from loadproof.analysis.audit.limits.promises import QUOTA
from loadproof.analysis.audit.limits.refusals import Before
from loadproof.analysis.frames.journal import load_journal
from loadproof.analysis.word import Word

if TYPE_CHECKING:
    import pandas as pd

    from loadproof.analysis.frames.run import Run
    from loadproof.scenario.target.limits import DeclaredLimit

_PROBES: Final = 3
"""Health requests before second 0: to see if the target is up, if it still is, and one to spare."""
_PROBED: Final = "health"


def audits_of(run: Run) -> tuple[Audited, ...]:
    """One result for each audit that a threshold names; the journal is only read once."""
    names = run.manifest.scenario.audits
    journal = load_journal(run) if names else None
    return tuple(_audited(name, run, journal) for name in names)


def _audited(name: str, run: Run, journal: pd.DataFrame | None) -> Audited:
    audit = AUDITS.get(name)
    if audit is None or journal is None or journal.empty:
        why = "this version has no such audit" if audit is None else "no request was recorded: nothing to audit"
        return Audited(name, Word.INCONCLUSIVE, why, ())
    return audit(run, journal)


def _limits(run: Run, journal: pd.DataFrame) -> Audited:
    """Audit the limits of the requests that the scenario sends."""
    manifest = run.manifest
    declared = manifest.declared_limits
    spent = {name: manifest.scenario.limit_of(name) for name in run.endpoints}
    audit = audit_limits(
        journal.assign(request=journal["request"].map(lambda name: spent.get(name, name))),
        {name: limit for name, limit in declared.items() if name in spent.values()},
        access=manifest.declared_access,
        start_unix_s=manifest.start_unix_s,
        before=_before(run, declared),
        losses=losses_of(run),
        processes=manifest.scenario.settings.processes,
    )
    return audit if is_whole(run) else without_rows(audit)


def without_rows(audit: Audited) -> Audited:
    """The audit of a journal that lacks requests: they might explain refusals, but excess admissions still count."""
    evidence = [
        replace(promised, word=Word.INCONCLUSIVE, reason=f"the journal is not whole; {promised.reason}")
        if promised.word is not Word.INCONCLUSIVE
        and not (promised.word is Word.FAIL and promised.promise.endswith((QUOTA, *EVASIONS)))
        else promised
        for promised in audit.evidence
    ]
    return audited(audit.audit, evidence, audit.offences, total=audit.offences_total)


def _before(run: Run, limits: Mapping[str, DeclaredLimit]) -> dict[str, Before]:
    """What was counted before second 0: an embedded target is new; your own may have had any other traffic."""
    if run.manifest.target.kind == "own":
        return dict.fromkeys(limits, Before(is_unknown=True))
    return {_PROBED: Before(hits=_PROBES)}


AUDITS: Final[dict[str, Callable[[Run, pd.DataFrame], Audited]]] = {
    "limits": _limits,
    "ledger": ledger_audit,
    "webhooks": webhooks_audit,
    "backup": backup_audit,
}
