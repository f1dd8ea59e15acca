"""Works out when each of a scenario's faults begins and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.faults import Fault


class FaultSpan(NamedTuple):
    """A fault in seconds from the run's start."""

    number: int
    """Its place in the scenario."""
    fault: Fault
    start_s: float
    end_s: float

    @property
    def text(self) -> str:
        return self.fault.text


class Incident(NamedTuple):
    """One fault, planned or observed, or several that overlap; in seconds from the run's start."""

    text: str
    start_s: float
    end_s: float


def fault_spans(faults: Iterable[Fault], phases: Iterable[PhaseSpan]) -> list[FaultSpan]:
    """The faults that begin in one of these phases, in the scenario's order."""
    starts_s = {phase.name: phase.start_s for phase in phases}
    return [
        FaultSpan(number, fault, start_s, start_s + fault.lasts)
        for number, fault in enumerate(faults)
        if fault.phase in starts_s
        for start_s in [starts_s[fault.phase] + (fault.at or 0.0)]
    ]


def merged(incidents: Iterable[Incident]) -> list[Incident]:
    """In order of time, with overlapping incidents joined into one."""
    joined: list[Incident] = []
    for incident in sorted(incidents, key=lambda incident: incident.start_s):
        if joined and incident.start_s <= joined[-1].end_s:
            before = joined.pop()
            text = " and ".join(dict.fromkeys((*before.text.split(" and "), incident.text)))
            joined.append(Incident(text, before.start_s, max(before.end_s, incident.end_s)))
        else:
            joined.append(incident)
    return joined
