"""Findings on a candidate that may be unfit to ship although nothing that both sides have in common got worse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from loadproof.analysis.compare.comparedrow import estimates_in
from loadproof.analysis.compare.replicates import row_of
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.word import Word

if TYPE_CHECKING:
    from loadproof.analysis.compare.replicates import Replicate
    from loadproof.scenario.scenario import Scenario, Threshold


_OFTEN: Final = 10
"""Requests in a run: of fewer, another run may have none by chance."""


def always_sent(runs: Sequence[Replicate]) -> list[str]:
    """The requests that each of these runs sent often, in order of their names."""
    often = [_sent_often(run) for run in runs]
    return sorted(frozenset.intersection(*often)) if often else []


def _sent_often(run: Replicate) -> frozenset[str]:
    most: Counter[str] = Counter()
    for row, estimate in run.estimates.items():
        # An error ratio's samples are all requests sent.
        if row.metric == "error_ratio":
            most[row.endpoint] = max(most[row.endpoint], estimate.n)
    return frozenset(name for name in run.manifest.scenario.endpoints if most[name] >= _OFTEN)


def lately_unsent(runs: Sequence[Replicate], recent: int) -> list[str]:
    """The requests that the last runs, at most `recent`, didn't send, and each of as many before those often did."""
    last = {name: number for number, run in enumerate(runs) for name in run.manifest.scenario.endpoints}
    often = [_sent_often(run) for run in runs]
    return [
        name
        for name, number in last.items()
        if 0 < len(runs) - 1 - number <= recent
        and all(name in names for names in often[max(0, number + 1 - recent) : number + 1])
    ]


def no_longer_sent(baseline: Sequence[Replicate], candidate: Sequence[Replicate]) -> Iterator[Finding]:
    """A finding if no run of the candidate sent a request that each of the baseline's did: no data is never a pass."""
    sent = {name for run in candidate for name in run.manifest.scenario.endpoints}
    gone = [name for name in always_sent(baseline) if name not in sent]
    if candidate and gone:
        more = f" or {len(gone) - 1} more" if len(gone) > 1 else ""
        what = f"no run of the candidate sent {gone[0]}{more}, which each of the baseline did"
        yield Finding(Word.INCONCLUSIVE, what, "check what the candidate answers to the request before it")


def violated(candidate: Sequence[Replicate], scenario: Scenario) -> Iterator[Finding]:
    """A finding for each threshold that all of the candidate's runs violate: being like the baseline isn't enough."""
    for threshold in scenario.thresholds:
        expectation = threshold.expectation
        is_own = not expectation.of_baseline and expectation.window_s is None
        if is_own and expectation.metric.kind.beside_baseline and _is_violated(threshold, candidate, scenario):
            what = f"each run of the candidate violates {threshold.expect} ({threshold.scope})"
            remedy = "see `loadproof report` of one of them; fix the candidate, or correct the threshold"
            yield Finding(Word.INCONCLUSIVE, what, remedy)


def _is_violated(threshold: Threshold, runs: Sequence[Replicate], scenario: Scenario) -> bool:
    estimates = estimates_in(runs, row_of(threshold, scenario))
    return bool(estimates) and not any(threshold.expectation.holds(estimate.value) for estimate in estimates)
