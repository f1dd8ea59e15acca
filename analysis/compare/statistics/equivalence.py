"""Decides whether a change is certainly too small to matter: two one-sided tests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from loadproof.analysis.compare.statistics.welch import Scale
from loadproof.analysis.estimates.distributions import t_tail

if TYPE_CHECKING:
    from loadproof.analysis.compare.statistics.welch import Change

LEVEL: Final = 0.05
"""How often, at most, a change as large as the margin is called equivalent."""
PART_OF_RATIO: Final = 0.1
"""The margin of a share of requests, as a fraction of the margin of times: 5 % becomes half a percentage point."""


def margin_on(scale: Scale, margin: float) -> float:
    """The largest difference on this scale that doesn't matter; for times and rates, the same factor either way."""
    return math.log1p(margin) if scale is Scale.RELATIVE else margin * PART_OF_RATIO


def equivalence_p(change: Change, margin: float) -> float:
    """How often a change equal to the margin looks as small as this one; NaN with a single run on a side.

    Source: Schuirmann 1987, doi:10.1007/BF01068419.
    """
    if not change.standard_error > 0:
        return math.nan
    room = margin_on(change.scale, margin) - abs(change.difference)
    # The test at the nearer end of the margin decides.
    return t_tail(room / change.standard_error, change.degrees)


def is_equivalent(change: Change, margin: float) -> bool:
    return equivalence_p(change, margin) <= LEVEL
