"""Tables of docs/compare.md: how often comparisons of releases are wrong, and how often they find a change."""

from __future__ import annotations

from bench.ranges import conditions
from bench.serving import read_results
from bench.tables.markdown import table


def compare_errors() -> str:
    """Three tables: equal releases, slower ones, and Welch's test alone."""
    results = read_results("compare-errors")
    welch = [
        (f"{row['runs']} + {row['runs']}", f"{row['noise']:.0%}", row["phi"], _rate(row)) for row in results["welch"]
    ]
    equal = [
        (
            f"{row['runs']} + {row['runs']}",
            f"{row['noise']:.0%}",
            "alternately" if row["alternately"] else "one side after the other",
            *(_rate(row["whole"][word]) for word in ("regressed", "equivalent")),
        )
        for row in results["equal"]
    ]
    slower = [
        (
            f"{100 * row['slower']:+.0f} %",
            f"{row['runs']} + {row['runs']}",
            f"{row['noise']:.0%}",
            _rate(row["whole"]["regressed"]),
            _rate(row["named"]["regressed"]),
            _rate(row["named"]["equivalent"]),
        )
        for row in results["slower"]
    ]
    parts = [
        conditions(results),
        "The same release on both sides; the false alarm is `regressed`:",
        table(("runs", "noise", "made", "regressed", "equivalent"), equal),
        "All endpoints slower; the named row is p(95) of one endpoint. +5 % is the margin itself:",
        table(("slower", "runs", "noise", "regressed", "named row regressed", "named row equivalent"), slower),
        "Welch's test by itself, on the p95 of whole runs of the same release; nominal are 5 %:",
        table(("runs", "noise", "correlation of seconds", "p < 5 %"), welch),
    ]
    return "\n\n".join(parts)


def _rate(row: dict[str, float]) -> str:
    """A share with its exact 95 % interval."""
    share, low, high = (f"{100 * value:.1f}" for value in (row["count"] / row["n"], row["low"], row["high"]))
    return f"{share} % ({low} to {high}; n = {row['n']:,})"
