"""All mutants by name, and the numbered promises that they break."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payments_api.mutants import books, clients, copies, events, order, quotas, sharing, waits

if TYPE_CHECKING:
    from payments_api.mutants.mutant import Mutant

PROMISES: Final[dict[int, str]] = {
    1: "a quota is exact",
    2: "no window admits more",
    3: "clients are apart",
    4: "nothing gets round a limit",
    5: "a stranger's headers count for nothing",
    6: "processes share a quota",
    7: "Retry-After and penalties are honest",
    8: "deny list, allow list, bots, limits, in this order",
    9: "a flood is survived",
    10: "Redis may die, hang and come back",
    11: "no money is made or lost, and every write is read",
    12: "no payment is lost or doubled by a crash",
    13: "a key is one payment",
    14: "an event has one effect",
    15: "a backup restores",
}
"""By row number in the matrix of promises and mutants."""

MUTANTS: Final[dict[str, Mutant]] = {
    mutant.name: mutant
    for mutant in (
        quotas.quota_plus_one,
        quotas.quota_race,
        quotas.quota_expiry_renewed,
        quotas.fixed_called_moving,
        clients.key_global,
        clients.clients_forgotten,
        clients.key_by_url,
        clients.head_not_counted,
        clients.leftmost_forwarded,
        sharing.memory_on_two_processes,
        waits.retry_after_floor,
        waits.retry_after_constant,
        waits.retry_after_negative,
        waits.penalty_not_doubled,
        waits.penalty_uncapped,
        waits.penalty_kept,
        order.lists_after_limits,
        order.bots_before_allow,
        order.work_before_limit,
        sharing.redis_no_timeout,
        sharing.redis_fail_open,
        books.balance_race,
        books.stale_cache,
        books.acknowledged_before_commit,
        books.key_outside_transaction,
        books.commit_lost,
        books.check_then_insert,
        events.webhook_by_body,
        events.webhook_marked_first,
        events.webhook_signature_remembered,
        copies.backup_without_log,
        copies.backup_stepped,
        copies.restore_skips_newest,
    )
}
