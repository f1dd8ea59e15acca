"""Tries a run's backups: has each restored into an empty directory and served, then reads what it contains."""

from __future__ import annotations

import random
import time
import uuid
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from loadproof.outcome import Outcome, Said, said_by
from loadproof.run.audits.inquiry import Inquirer, UnaskedError
from loadproof.run.audits.ledgerreading import LedgerReading
from loadproof.run.audits.observing import UNREADABLE, observed, unasked
from loadproof.run.machine.ports import LOOPBACK, free_port
from loadproof.scenario.target.commands import RESTORE, SERVE, VERIFY
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from loadproof.api.audits import AuditApi
    from loadproof.api.calls import Reply
    from loadproof.run.audits.journalreading import Sent
    from loadproof.run.faults.commands import StartedCommand, TargetCommands
    from loadproof.rundir.manifest import Manifest, TargetFacts
    from loadproof.rundir.observations import Observation, When

_READING_S: Final = 300.0
_LOOK_S: Final = 0.2
_LEAVING_S: Final = 60.0


class BackupReading:
    """Tries the backups of one run; the results of the commands are in the run directory's list."""

    def __init__(
        self,
        commands: TargetCommands,
        manifest: Manifest,
        accounts: Sequence[str],
        *,
        api_of: Callable[[TargetFacts], AuditApi],
        stop_requested: Callable[[], bool],
    ) -> None:
        self._commands = commands
        self._manifest = manifest
        self._accounts = accounts
        self._api_of = api_of
        self._stop_requested = stop_requested

    def tried(self, sent: Sent) -> Iterator[Observation]:
        """Try the last backup taken under load, then one taken now. FaultError if a command could not be run.

        A backup taken while payments go on may lack the latest ones; a backup taken at rest must have them all.
        """
        yield from self._restored("restored", sent)
        if not self._stop_requested() and self._commands.begin_backup().wait(self._stop_requested).is_done:
            yield from self._restored("rested", sent)

    def _restored(self, when: When, sent: Sent) -> Iterator[Observation]:
        filled = {**self._commands.backup, "restored": str(self._commands.place("restored"))}
        for name in (VERIFY, RESTORE):
            # The backup is restored even if its own check fails: restoring it is what counts.
            if name in self._commands.known:
                done = self._commands.begin(name, filled).wait(self._stop_requested)
                if name == RESTORE and not done.is_done:
                    return
        yield from self._served(filled, when, sent)

    def _served(self, filled: Mapping[str, str], when: When, sent: Sent) -> Iterator[Observation]:
        port, patience_s = free_port(), self._commands.known[SERVE].timeout
        longest_s = patience_s + _READING_S + _LEAVING_S
        serving = self._commands.begin(SERVE, {**filled, "port": str(port)}, longest_s=longest_s)
        facts = restored_target(self._manifest.target, port)
        manifest, api = self._manifest.model_copy(update={"target": facts}), self._api_of(facts)
        inquirer = Inquirer(manifest, longest_s=patience_s + _READING_S, stop_requested=self._stop_requested)
        try:
            health = replace(self._until_it_serves(inquirer, api, serving), when=when)
            yield health
            if not health.trouble:
                reading = LedgerReading(api, inquirer, self._accounts, is_exclusive=facts.exclusive_accounts)
                yield from reading.books(when, sent)
                yield from self._strayed(api, inquirer, when)
        finally:
            inquirer.close()
            serving.stop()

    def _strayed(self, api: AuditApi, inquirer: Inquirer, when: When) -> Iterator[Observation]:
        """Check that a payment to the copy doesn't show up at the target; nothing if the copy takes no payments."""
        debit, credit = self._accounts[:2]
        # An unusual amount, because the copy may give the payment an id that another payment has at the target.
        amount = random.randrange(1_001, 9_999)
        call = api.pay(debit=debit, credit=credit, amount=amount, key=str(uuid.uuid4()))
        asked = {"debit": debit, "credit": credit, "amount": amount}
        try:
            paid = observed("strayed", when, asked, inquirer.ask(call), api.payment_in)
            payment = paid.said.get("payment")
            if payment and said_by(paid.status, paid.outcome, is_repeated=False) is Said.ACKNOWLEDGED:
                own = {**asked, "payment": payment}
                shown = self._at_target(payment, debit)
                if shown is not None:
                    is_there = any(own.items() <= seen.items() for seen in shown)
                    yield replace(paid, said={"payment": payment, "is_there": is_there})
        except UnaskedError:
            return

    def _at_target(self, payment: str, account: str) -> list[dict[str, Any]] | None:
        """This payment, or all payments of the account, as the target shows them now; None if it can't show any."""
        api = self._api_of(self._manifest.target)
        with closing(Inquirer(self._manifest, longest_s=_LEAVING_S, stop_requested=self._stop_requested)) as inquirer:
            if api.can_read_payments:
                seen = observed("payment", "after", {}, inquirer.ask(api.read_payment(payment)), api.payment_in)
                return [{**seen.said, "payment": payment}]
            if api.payments is None or "{account}" not in api.payments.path:
                return None
            reply = inquirer.ask(api.list_payments(account)).reply
            try:
                return api.payments_in(reply) if reply else None
            except UNREADABLE:
                return None

    def _until_it_serves(self, inquirer: Inquirer, api: AuditApi, serving: StartedCommand) -> Observation:
        """The copy's answer once it is healthy; else with `trouble`, and an outcome if the copy is to blame."""
        patience_s = self._commands.known[SERVE].timeout
        call, until_s = api.ask_health(), time.monotonic() + patience_s
        health = unasked("health", "restored", {})

        def alive(reply: Reply) -> dict[str, Any]:
            if not reply.says("status", call.operation.alive):  # type: ignore[attr-defined]  # of a HealthOperation
                raise ValueError("not alive")
            return {}

        while not self._stop_requested():
            try:
                health, why = observed("health", "restored", {}, inquirer.ask(call), alive), ""
                if health.outcome == Outcome.OK:
                    return health
            except UnaskedError as error:
                why = str(error)
            if (ended := serving.ended()) is not None:
                return replace(health, outcome=health.outcome or Outcome.CONNECTION, trouble=ended.text)
            if time.monotonic() >= until_s:
                said = f"status {health.status}, {health.outcome}" if health.status else why or "no answer"
                return replace(health, trouble=f"it did not serve within {format_duration(patience_s)}: {said}")
            time.sleep(_LOOK_S)
        return unasked("health", "restored", {}, "the run was stopped")


def restored_target(target: TargetFacts, port: int) -> TargetFacts:
    """The same API on this port of loopback, without anything that leads back to the original target."""
    url = urlsplit(target.address)._replace(scheme="http", netloc=f"{LOOPBACK}:{port}")
    # A Host header set for a fault's proxy names the original target.
    headers = {name: value for name, value in target.headers.items() if not target.behind or name != "Host"}
    nowhere = {"behind": None, "tls": None, "proxy": None}
    return target.model_copy(update={"base_url": url.geturl(), "headers": headers, **nowhere})
