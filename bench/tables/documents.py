"""Documents with generated tables, and the functions that generate each table."""

from __future__ import annotations

import re
from collections.abc import Callable

from bench.adversary.table import shown as adversary
from bench.mutation.table import shown as mutation
from bench.properties.table import shown as properties
from bench.serving import ROOT, read_results
from bench.tables import duels, performance, releases, target, truth, verdicts
from bench.tables.mutants import mutants

DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "payments_api/README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in (
            "adversary",
            "capacity",
            "compare",
            "duel",
            "history",
            "mutation",
            "performance",
            "properties",
            "selftest",
            "statistics",
            "target-performance",
            "truth",
            "validity",
        )
    ),
)
TABLES: dict[str, Callable[[], str]] = {
    "adversary": lambda: adversary(read_results("adversary")),
    "capacity-simulated": verdicts.capacity_simulated,
    "capacity-real": verdicts.capacity_real,
    "mutation": lambda: mutation(read_results("mutation")),
    "properties": lambda: properties(read_results("properties")),
    "mutants": mutants,
    "throughput": performance.throughput,
    "clients": performance.clients,
    "parts": performance.parts,
    "journal": performance.journal,
    "request-profile": performance.request_profile,
    "analysis": performance.analysis,
    "truth": truth.truth,
    "stops": truth.stops,
    "rate": truth.rate,
    "starvation": verdicts.starvation,
    "coverage": verdicts.coverage,
    "compare-errors": releases.compare_errors,
    "looks": duels.looks,
    "duels": duels.duels,
    "history": verdicts.history,
    "verdict": verdicts.verdict,
    "target-rounds": target.target_rounds,
    "target-frames": target.target_frames,
    "protection": target.protection,
}
"""By the name in a document's comment: `<!-- NAME: generated -->`."""
_BLOCK = re.compile(r"(<!-- (?P<name>[a-z-]+): [^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(document: str) -> str:
    """The document with all of its tables regenerated from the results."""
    return _BLOCK.sub(lambda match: f"{match[1]}{TABLES[match['name']]()}\n{match[3]}", document)
