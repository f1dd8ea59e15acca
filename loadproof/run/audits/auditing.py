"""Runs each audit's inquiry at its time, before, during and after the load; writes answers to the run directory."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from loadproof.api.audits import AuditApi
from loadproof.api.payloads import make_payloads
from loadproof.api.signing import DEVELOPMENT_SECRET
from loadproof.plan.clients import highest_client_index, make_client
from loadproof.run.audits.backupreading import BackupReading
from loadproof.run.audits.inquiry import Inquirer, UnaskedError
from loadproof.run.audits.journalreading import read_sent
from loadproof.run.audits.ledgerreading import LedgerReading
from loadproof.run.audits.observing import unasked
from loadproof.run.audits.webhookreading import EACH, WebhookReading, new_event
from loadproof.run.faults.keeperclient import FaultError
from loadproof.run.target.reference import is_asked
from loadproof.rundir import files
from loadproof.rundir.commands import read_commands
from loadproof.rundir.observations import append_observations
from loadproof.scenario.target.commands import BACKUP
from loadproof.scenario.target.variables import masker_of, secret_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from loadproof.run.audits.journalreading import Sent
    from loadproof.run.faults.commands import TargetCommands
    from loadproof.run.watching.progress import Progress
    from loadproof.rundir.manifest import Manifest, TargetFacts
    from loadproof.rundir.observations import Observation

_BEFORE_S: Final = 60.0
_AFTER_S: Final = 300.0
_STARTING_S: Final = 30.0
_LONGEST_LOAD_S: Final = 7 * 86_400.0
_EVERY_S: Final = 1.0
_LEAST_SNAPSHOTS: Final = 20
"""Short runs take snapshots more often than every second, to get this many: twice as many as the audit needs."""
_AT_ONCE: Final = 2_000
"""Observations per write."""
_MOST_ACCOUNTS: Final = 20_000


class Auditing:
    """The audits of one run."""

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        *,
        secret: Mapping[str, str],
        stop_requested: Callable[[], bool],
        commands: TargetCommands | None = None,
    ) -> None:
        """`secret` holds the run's own variables, which the environment lacks; `commands` restore a backup."""
        self._manifest, self._path, self._stop_requested = manifest, path / files.OBSERVATIONS, stop_requested
        self._commands = commands
        self._environment = {**os.environ, **secret}
        self._api = self._api_of(manifest.target)
        self._mask = masker_of(secret_variables(manifest.target), self._environment)
        self._accounts = accounts_of(manifest)
        self._early_events = [new_event() for _ in range(EACH)]
        self._stopped = threading.Event()

    def before(self) -> None:
        if self._audits("ledger", "backup"):
            with self._inquiring(_BEFORE_S) as inquirer:
                self._write(self._ledger(inquirer).before())
        if self._audits("webhooks"):
            with self._inquiring(_BEFORE_S) as inquirer:
                self._write(self._webhooks(inquirer).before())

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Take a snapshot every second, or more often in a short run, if the target has an operation for it."""
        if not (self._audits("ledger") and self._api.has_snapshot):
            yield
            return
        sampler = threading.Thread(target=self._sample, name="snapshots", daemon=True)
        sampler.start()
        try:
            yield
        finally:
            self._stopped.set()
            sampler.join(_BEFORE_S)

    def after(self) -> None:
        sent = read_sent(self._path.parent)
        if self._audits("webhooks", "ledger"):
            self._ask_after(sent)
        if self._audits("backup") and self._commands is not None and self._took_backup():
            reading = BackupReading(
                self._commands,
                self._manifest,
                self._accounts,
                api_of=self._api_of,
                stop_requested=self._stop_requested,
            )
            try:
                self._write(reading.tried(sent))
            except FaultError as error:
                # The audit has no evidence: the target may not be to blame.
                self._write([unasked("health", "restored", {}, str(error))])

    def _ask_after(self, sent: Sent) -> None:
        with self._inquiring(_AFTER_S) as inquirer:
            try:
                # The target may be restarting.
                inquirer.await_target(self._api.ask_health(), _STARTING_S)
            except UnaskedError as error:
                self._write([unasked("payments", "after", {}, str(error))])
                return
            if self._audits("webhooks"):
                self._write(self._webhooks(inquirer).after(sent))
            if self._audits("ledger") and len(self._accounts) > 1:
                self._write(self._ledger(inquirer).after(sent))

    def _audits(self, *names: str) -> bool:
        return not set(names).isdisjoint(self._manifest.scenario.audits)

    def _took_backup(self) -> bool:
        """Whether the last backup succeeded, so that it can be restored."""
        taken = [done for done in read_commands(self._path.parent) if done.name == BACKUP]
        return bool(taken) and taken[-1].is_done

    def _api_of(self, target: TargetFacts) -> AuditApi:
        key = self._environment.get(target.endpoints.webhooks.secret, DEVELOPMENT_SECRET)
        return AuditApi(target.endpoints, headers=target.headers, webhook_secret=key, auth=target.auth)

    def _ledger(self, inquirer: Inquirer) -> LedgerReading:
        is_exclusive = self._manifest.target.exclusive_accounts
        return LedgerReading(self._api, inquirer, self._accounts, is_exclusive=is_exclusive)

    def _webhooks(self, inquirer: Inquirer) -> WebhookReading:
        event = make_payloads(self._manifest.seed, 1).events[0]
        return WebhookReading(self._api, inquirer, event, self._early_events)

    @contextmanager
    def _inquiring(self, longest_s: float) -> Iterator[Inquirer]:
        inquirer = Inquirer(self._manifest, longest_s=longest_s, stop_requested=self._stop_requested)
        try:
            yield inquirer
        finally:
            inquirer.close()

    def _sample(self) -> None:
        inquirer = Inquirer(self._manifest, longest_s=_LONGEST_LOAD_S, stop_requested=self._stopped.is_set)
        try:
            while not self._stopped.wait(min(_EVERY_S, self._manifest.scenario.duration_s / _LEAST_SNAPSHOTS)):
                seen = self._ledger(inquirer).snapshot("during")
                if not seen.trouble:
                    self._write([seen])
        except OSError:
            # The watch notices a full disk itself, and ends the run.
            return
        finally:
            inquirer.close()

    def _write(self, observations: Iterable[Observation]) -> None:
        """Write observations in batches as they come, so that a killed run keeps the earlier ones."""
        waiting: list[Observation] = []
        for observation in observations:
            waiting.append(observation)
            if len(waiting) >= _AT_ONCE:
                append_observations(self._path, waiting, self._mask)
                waiting = []
        append_observations(self._path, waiting, self._mask)


@contextmanager
def audited(
    manifest: Manifest,
    path: Path,
    progress: Progress,
    *,
    secret: Mapping[str, str],
    stop_requested: Callable[[], bool],
    commands: TargetCommands | None = None,
) -> Iterator[None]:
    """Ask the target before and after the body of this context, unless no audit needs it or the run is stopped."""
    if not is_asked(manifest.scenario) or stop_requested():
        yield
        return
    auditing = Auditing(manifest, path, secret=secret, stop_requested=stop_requested, commands=commands)
    with _noting(progress):
        auditing.before()
    with auditing.sampling():
        yield
    if not stop_requested():
        progress.say("querying the target for the audits")
        with _noting(progress):
            auditing.after()


@contextmanager
def _noting(progress: Progress) -> Iterator[None]:
    """Report a failed write and go on: the audit lacks observations, but the run keeps its ending."""
    try:
        yield
    except OSError as error:
        progress.say(f"{files.OBSERVATIONS} can't be written: {error.strerror or error}")


def accounts_of(manifest: Manifest) -> list[str]:
    """Accounts of the run's clients: first those that money moves between, in pairs, then those only read."""
    ids = manifest.target.account_ids
    clients = [
        make_client(index, seed=manifest.seed, by_address=False, account_ids=ids)
        for index in range(highest_client_index(manifest.scenario) + 1)
    ]
    paying = [account for client in clients for account in client.paying_accounts]
    return list(dict.fromkeys([*paying, *(client.read_account for client in clients)]))[:_MOST_ACCOUNTS]
