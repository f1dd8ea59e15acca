"""Wrong Retry-After values, and penalties that don't grow, stop growing or expire as they should."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from payments_api.mutants.mutant import Replace, mutant
from payments_api.protection.limits import Decision, Limits
from payments_api.protection.protection import Protection

if TYPE_CHECKING:
    from payments_api.protection.options import Options


@mutant(7)
def retry_after_floor(replace: Replace) -> None:
    """A client that waits as long as Retry-After says is refused: the seconds are rounded down."""
    _announce(replace, math.floor)


@mutant(7)
def retry_after_constant(replace: Replace) -> None:
    """Retry-After is too long or too short: it always says 3 seconds."""
    _announce(replace, lambda _: 3)


@mutant(7)
def retry_after_negative(replace: Replace) -> None:
    """Retry-After is negative: it is now minus then instead of then minus now."""
    _announce(replace, lambda wait_s: -math.ceil(wait_s))


@mutant(7)
def penalty_not_doubled(replace: Replace) -> None:
    """The tenth violation costs as little as the first: the factor is read but never used."""
    _punish(replace, factor=1.0)


@mutant(7)
def penalty_uncapped(replace: Replace) -> None:
    """Penalties double without end: the cap is never applied."""
    _punish(replace, cap_s=1e9)


@mutant(7)
def penalty_kept(replace: Replace) -> None:
    """A violation is never forgiven: the count only goes up."""
    _punish(replace, memory_s=1e9)


def _announce(replace: Replace, seconds: Callable[[float], int]) -> None:
    true = Limits._refused

    def refused(self: Limits, endpoint: str, wait_s: float, *, is_penalty: bool) -> Decision:
        return true(self, endpoint, wait_s, is_penalty=is_penalty)._replace(wait_s=seconds(wait_s))

    replace(Limits, "_refused", refused)


def _punish(replace: Replace, **changes: Any) -> None:
    true = Protection.__init__

    def init(self: Protection, options: Options, **others: Any) -> None:
        rule = options.penalty and dataclasses.replace(options.penalty, **changes)
        true(self, dataclasses.replace(options, penalty=rule), **others)

    replace(Protection, "__init__", init)
