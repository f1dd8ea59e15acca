"""Turns a seed into the order of a duel's runs: blocks of four, in which any drift affects both sides alike."""

from __future__ import annotations

import random
from typing import Final, Literal, NamedTuple, get_args

Side = Literal["baseline", "candidate"]
SIDES: Final[tuple[Side, ...]] = get_args(Side)
PER_BLOCK: Final = 2
"""Runs of each side in a block."""
MOST_PAIRS: Final = 100
"""Runs of each side in a duel."""


class Turn(NamedTuple):
    """One run's place in a duel."""

    block: int
    """From 0."""
    pair: int
    """From 0: its number among its side's runs. The two runs of a pair have the same seed."""
    side: Side


def turns(pairs: int, seed: int) -> list[Turn]:
    """The order of `pairs` runs of each side (an even number): each block is ABBA or BAAB, by a coin toss.

    The mean time of both sides is the same in each block, so a steady drift cancels out.
    """
    order = []
    for block in range(pairs // PER_BLOCK):
        first, second = SIDES if random.Random(f"{seed} {block}").random() < 0.5 else SIDES[::-1]
        sides = (first, second, second, first)
        order += [Turn(block, PER_BLOCK * block + place // 2, side) for place, side in enumerate(sides)]
    return order
