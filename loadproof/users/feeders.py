"""Rows of a file to users: each row once, or again and again; drawn; or one for each client, whoever else there is."""

from __future__ import annotations

import copy
import random as stdlib
from typing import TYPE_CHECKING

from locust.exception import StopUser

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from loadproof.plan.clients import Client
    from loadproof.scenario.feeder import Feeder, Row


class Feed:
    """One process's part of a feeder. No row goes to two users at a time unless the scenario wants it to.

    Of rows that come in order each worker has every so many-th: a worker that dies takes its own with it, and no other
    gives them to anybody.
    """

    def __init__(self, rows: tuple[Row, ...], feeder: Feeder, *, seed: str, rank: int, workers: int) -> None:
        """`seed` is the same on all workers."""
        self._rows = rows
        is_nested = any(isinstance(value, list | dict) for row in rows for value in row.values())
        self._copy: Callable[[Row], Row] = copy.deepcopy if is_nested else dict
        """Users may take things out of theirs, or put some in; somebody else has the row next."""
        self._feeder = feeder
        self._order = list(range(len(rows)))
        if feeder.order == "shuffled":
            stdlib.Random(seed).shuffle(self._order)
        self._next, self._step = rank, workers

    def take(self, client: Client, random: Random) -> Row:
        """A row for this client, drawn by its own choices; StopUser when there is none left."""
        match self._feeder.order:
            case "random":
                return self._copy(random.choice(self._rows))
            case "unique":
                number = client.index
            case _:
                number, self._next = self._next, self._next + self._step
                if self._feeder.at_end == "again":
                    number %= len(self._rows)
        if number >= len(self._rows):
            raise StopUser
        return self._copy(self._rows[self._order[number]])
