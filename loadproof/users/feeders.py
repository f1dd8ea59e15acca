"""Hands rows of a file to users: in order, once or repeatedly; at random; or a fixed row for each client."""

from __future__ import annotations

import copy
import random as stdlib
from typing import TYPE_CHECKING

from locust.exception import StopUser

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from loadproof.plan.clients import Client
    from loadproof.scenario.traffic.feeder import Feeder, Row


class Feed:
    """One process's share of a feeder. No row goes to two users at a time unless the scenario says so.

    Of rows handed out in order, each of N workers has every N-th: the rows of a worker that dies are lost, and no other
    worker hands them out.
    """

    def __init__(self, rows: tuple[Row, ...], feeder: Feeder, *, seed: str, rank: int, workers: int) -> None:
        """`seed` is the same on all workers."""
        self._rows = rows
        is_nested = any(isinstance(value, list | dict) for row in rows for value in row.values())
        self._copy: Callable[[Row], Row] = copy.deepcopy if is_nested else dict
        """Each user gets its own copy: it may modify the row, which another user gets next."""
        self._feeder = feeder
        self._order = list(range(len(rows)))
        if feeder.order == "shuffled":
            stdlib.Random(seed).shuffle(self._order)
        self._next, self._step = rank, workers

    def take(self, client: Client, random: Random) -> Row:
        """A row for this client; `random` draws it where the order is random. StopUser when none is left."""
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
