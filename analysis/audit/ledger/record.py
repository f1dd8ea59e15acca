"""The input of the ledger audit: which payments were attempted, how they were answered, and what the ledger showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from loadproof.outcome import Said

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

CROSSED: Final = "the run also pays to or from accounts that are not in the target file, so the sum may change"
Row = Mapping[str, Any]
"""The row of the journal, or the observation, that shows something."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who pays whom how much, in minor units."""

    debit: str
    credit: str
    amount: int
    currency: str = ""
    """Empty if unknown."""

    @property
    def postings(self) -> tuple[tuple[str, int], tuple[str, int]]:
        return (self.debit, -self.amount), (self.credit, self.amount)

    def agrees_with(self, other: Order) -> bool:
        """Whether both are the same payment; currencies only count if both are known."""
        is_same = (self.debit, self.credit, self.amount) == (other.debit, other.credit, other.amount)
        return is_same and (self.currency == other.currency or not (self.currency and other.currency))

    def __str__(self) -> str:
        return f"{self.amount} from {self.debit} to {self.credit}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request for a payment. Times are µs from the run's start, on the master's clock."""

    key: str
    """Unique to the payment; for a target without keys, one that was never sent."""
    order: Order
    sent_us: int
    ended_us: int
    said: Said
    payment: str
    """Its id in the answer; empty if there is none."""
    row: Row
    told: Order | None = None
    """The order that the answer says was booked; None if it doesn't say."""


@dataclass(frozen=True, slots=True)
class PaymentRead:
    """A payment read by its id; `order` is None if the answer doesn't say, or if there is no such payment.

    `doubt_us` is how far its times may be off relative to those of payments.
    """

    payment: str
    is_there: bool
    order: Order | None
    sent_us: int
    ended_us: int
    row: Row
    doubt_us: int = 0


@dataclass(frozen=True, slots=True)
class BalanceRead:
    account: str
    balance: int
    sent_us: int
    ended_us: int
    row: Row
    doubt_us: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """A payment in a list of payments; empty or None where the list doesn't say."""

    payment: str
    key: str
    order: Order | None


@dataclass(frozen=True, slots=True)
class Listing:
    """All payments of an account, or all under a key, before or after the load."""

    account: str
    """Empty if the list is a key's."""
    key: str
    payments: tuple[Listed, ...]
    is_before: bool
    row: Row


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Balances of all exclusive accounts at one moment between `sent_us` and `ended_us`."""

    balances: Mapping[str, int]
    sent_us: int
    ended_us: int
    row: Row
    doubt_us: int = 0


@dataclass(frozen=True)
class LedgerRecord:
    """The whole record of one run, as far as it could be read."""

    attempts: Sequence[Attempt]
    reused: Sequence[Attempt] = ()
    """Attempts that reused a key for another order."""
    payment_reads: Sequence[PaymentRead] = ()
    balance_reads: Sequence[BalanceRead] = ()
    opening: Mapping[str, int] = field(default_factory=dict)
    """Balances before the load."""
    closing: Mapping[str, int] = field(default_factory=dict)
    """Balances after the last payment's answer."""
    listings: Sequence[Listing] = ()
    snapshots: Sequence[Snapshot] = ()
    """In the order requested; before, during and after the load."""
    overdrawing: Sequence[tuple[str, str]] = ()
    """Keys of payments sent two at a time, each for more than half of what the account held."""
    is_exclusive: bool = False
    """The target file says that nobody but this run moves money to or from these accounts."""
    is_whole: bool = True
    """Every request that was sent is in the journal."""
    has_keys: bool = True
    """The target takes idempotency keys."""
    has_reads: bool = True
    """The target file declares an operation that reads a payment by its id."""
    has_lists: bool = False
    """The target file declares an operation that lists payments."""
    has_snapshot: bool = False
    """The target file declares an operation that reads all balances at once."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """How much could not be read, by reason."""

    @property
    def blind_spot(self) -> str:
        """Why money may have moved without the journal showing it; empty if none can have."""
        if not self.is_exclusive:
            return "the target file doesn't say `exclusive_accounts: true`, so others may move money there"
        return "" if self.is_whole else "the journal doesn't have all requests"

    def crosses(self, accounts: AbstractSet[str]) -> bool:
        """Whether a payment that may have been made is between one of these accounts and another one."""
        orders = (attempt.order for attempt in self.attempts if attempt.said is not Said.REFUSED)
        return any((order.debit in accounts) is not (order.credit in accounts) for order in orders)
