"""Backs the API up under load, restores into an empty place, and looks for every payment that was acknowledged before.

`python -m drills.backup [--seconds S] [--rate N] [--payments N]`: exit code 0 when nothing is lost and nobody had to
wait, 1 otherwise. It reports what it saw of response times without and with a backup at work, on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import requests

from drills.payers import Payers, Payment
from drills.target import running_target
from payments_api.backups.manifest import Manifest, parse_manifest
from payments_api.backups.schedule.background import step_back
from payments_api.backups.storage.places import DirectoryPlace, backups_in
from payments_api.ledger import Ledger, Order, create_database

_ACCOUNTS: Final = 100
_BACKUPS: Final = "backed up"
_COMMAND_S: Final = 600.0
_QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "slowest": 1.0}
_ALLOWED_S: Final = {"p50": 0.1, "p99": 0.5, "slowest": 1.0}
_TIMES_CALM: Final = 3.0
"""During a backup, each may reach _ALLOWED_S or this many times its calm value: a busy machine isn't a stall."""


@dataclass
class Observed:
    """What the drill observed."""

    payments: list[Payment] = field(default_factory=list)
    phases: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Start and end of each phase in `time.monotonic()` seconds, by name."""
    backups: list[tuple[Manifest, float]] = field(default_factory=list)
    """Each backup with its duration in s."""
    restored_s: float = 0.0
    restored_ids: set[str] = field(default_factory=set)
    """Ids of the transactions that the restored API shows."""
    errors: list[str] = field(default_factory=list)

    def acknowledged_before(self, moment: datetime) -> list[Payment]:
        return [payment for payment in self.payments if payment.id and payment.acknowledged_at < moment.timestamp()]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="backup-drill-") as directory:
        observed = drill(Path(directory), seconds=options.seconds, rate=options.rate, payments=options.payments)
    lines, is_passed = report(observed)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if is_passed else 1


def drill(directory: Path, *, seconds: float, rate: float, payments: int) -> Observed:
    """Run calm, consecutive backups, and calm again for `seconds` each; then restore the last backup."""
    observed = Observed()
    database, place, target = directory / "ledger.sqlite3", directory / "place", directory / "new/ledger.sqlite3"
    place.mkdir()
    target.parent.mkdir()
    _fill(database, payments)
    with _serving(database) as url, Payers(url, rate=rate, accounts=_ACCOUNTS) as payers:
        with _phase(observed, "calm"):
            time.sleep(seconds)
        with _phase(observed, _BACKUPS):
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s and not observed.errors:
                _back_up(observed, database, place)
        with _phase(observed, "calm after"):
            time.sleep(seconds)
    observed.payments = payers.payments
    if not observed.errors:
        _restore(observed, place, target)
    return observed


def report(observed: Observed) -> tuple[list[str], bool]:
    """The lines of the report, and whether the drill passed."""
    problems = list(observed.errors)
    failed = [payment for payment in observed.payments if not payment.id]
    if failed:
        problems.append(f"{len(failed)} of {len(observed.payments)} payments failed, the first with {failed[0].answer}")
    facts, losses = _restored(observed) if observed.backups else ([], [])
    times, stalls = _response_times(observed)
    problems += [*losses, *stalls]
    lines = ["backup drill", "", *facts, "", *times, "", *(f"FAIL: {problem}" for problem in problems)]
    if not problems:
        lines.append("PASS: every payment that was acknowledged before the backup began is there")
    return lines, not problems


def _restored(observed: Observed) -> tuple[list[str], list[str]]:
    """Lines on what the last backup restored, and its failures."""
    last = observed.backups[-1][0]
    before = observed.acknowledged_before(last.created_at)
    lost = [payment for payment in before if payment.id not in observed.restored_ids]
    took_s = sorted(took_s for _, took_s in observed.backups)
    lines = [
        f"backups under load     {len(observed.backups)}, {took_s[0]:.2f} to {took_s[-1]:.2f} s each",
        f"restored               {last.name} in {observed.restored_s:.2f} s, boot included",
        f"                       {last.contents['transactions']} transactions, {last.database.bytes / 1e6:.1f} MB",
        f"acknowledged before    {len(before)} of this drill's {len(observed.payments)} payments",
        f"  of them restored     {len(before) - len(lost)}",
        f"  of them lost         {len(lost)}",
    ]
    problems = [f"{len(lost)} acknowledged payments are lost, the first {lost[0].id}"] if lost else []
    if not before:
        problems.append("no payment was acknowledged before the backup began: nothing is proven")
    return lines, problems


def _response_times(observed: Observed) -> tuple[list[str], list[str]]:
    """A table of response times, and its failures."""
    lines = ["response times         payments       p50       p99   slowest   (ms, from the intended start)"]
    problems, quantiles_s = [], {}
    for name, (began_s, ended_s) in observed.phases.items():
        times_s = sorted(payment.took_s for payment in observed.payments if began_s <= payment.intended_s < ended_s)
        if not times_s:
            problems.append(f"no payments while {name}: nothing is proven")
            continue
        phase_s = {of: times_s[min(len(times_s) - 1, int(len(times_s) * q))] for of, q in _QUANTILES.items()}
        lines.append(f"  {name:20} {len(times_s):9}" + "".join(f"{time_s * 1e3:10.1f}" for time_s in phase_s.values()))
        quantiles_s[name] = phase_s
    backed_up_s = quantiles_s.pop(_BACKUPS, {})
    for of, took_s in backed_up_s.items():
        allowed_s = max(_ALLOWED_S[of], _TIMES_CALM * max((calm_s[of] for calm_s in quantiles_s.values()), default=0))
        if took_s > allowed_s:
            problems.append(f"the {of} is {took_s:.2f} s while {_BACKUPS}; {allowed_s:.2f} s are allowed")
    return lines, problems


@contextmanager
def _phase(observed: Observed, name: str) -> Iterator[None]:
    began_s = time.monotonic()
    yield
    observed.phases[name] = began_s, time.monotonic()


def _fill(database: Path, payments: int) -> None:
    """Fill the ledger with payments, so that copying it takes a while."""
    create_database(str(database), _ACCOUNTS)
    ledger = Ledger(str(database))

    async def pay() -> None:
        for first in range(0, payments, 256):
            numbers = range(first, min(first + 256, payments))
            orders = (
                ledger.pay(f"before-{number}", Order("acct-000000", f"acct-{number % 99 + 1:06d}", 1, "EUR"))
                for number in numbers
            )
            await asyncio.gather(*orders)

    asyncio.run(pay())
    ledger.close()


@contextmanager
def _serving(database: Path) -> Iterator[str]:
    with running_target(DATABASE=str(database), LIMITER="off", ACCOUNTS=str(_ACCOUNTS)) as target:
        yield target.url


def _failure(*arguments: object, prepare: Callable[[int], None] = lambda _: None) -> str:
    """The error of a backup command, or ""; `prepare` is called with its process id."""
    command = [sys.executable, "-m", "payments_api.backups", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        prepare(process.pid)
        try:
            _, errors = process.communicate(timeout=_COMMAND_S)
        except BaseException:
            process.kill()
            raise
    return errors.strip() or "it failed silently" if process.returncode else ""


def _back_up(observed: Observed, database: Path, place: Path) -> None:
    began_s = time.monotonic()
    # Low priority, as with the API's own scheduled backups: payments come first.
    if failure := _failure("backup", "--database", database, "--to", place, prepare=step_back):
        observed.errors.append(failure)
        return
    newest = backups_in(DirectoryPlace(place))[0].text
    manifest = parse_manifest((place / f"{newest}.json").read_bytes(), name=newest)
    observed.backups.append((manifest, time.monotonic() - began_s))


def _restore(observed: Observed, place: Path, target: Path) -> None:
    began_s = time.monotonic()
    failure = _failure("restore", "--from", place, "--database", target)
    observed.restored_s = time.monotonic() - began_s
    if failure:
        observed.errors.append(failure)
        return
    with _serving(target) as url, requests.Session() as session:
        for payment in observed.acknowledged_before(observed.backups[-1][0].created_at):
            if session.get(f"{url}/transactions/{payment.id}", timeout=10).status_code == 200:
                observed.restored_ids.add(payment.id)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m drills.backup", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=15.0, help="of each of the three phases (default: 15)")
    parser.add_argument("--rate", type=float, default=100.0, help="payments per second (default: 100)")
    parser.add_argument("--payments", type=int, default=20_000, help="in the ledger before (default: 20000)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
