"""Runs the reference target: `python -m payments_api`; prints its URL to standard output once it is ready."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import uvicorn

from payments_api.app import make_app
from payments_api.backups.commands import COMMANDS
from payments_api.backups.commands import main as run_command
from payments_api.ledgerfile import UnusableDatabaseError, create_database
from payments_api.mutants.switching import switch_on
from payments_api.parentage import is_orphan, under_parent
from payments_api.protection.fairness import FairShare, fair
from payments_api.settings import VARIABLES, Settings, SettingsError, read_settings
from payments_api.workers import Stop, supervise, tell_ready

_KEEP_ALIVE_S: Final = 75
"""Longer than any user's pace: uvicorn's 5 s would close connections that a load test means to keep."""
_GRACEFUL_S: Final = 10
_PARENT_POLL_S: Final = 0.5
_OUTLIVE_PARENT_S: Final = 3.0
"""A load generator with the same parent must stop first; otherwise we would make its last requests fail."""


class _Server(uvicorn.Server):
    """Announces that it is ready and, if given a parent, stops when that parent is gone."""

    def __init__(self, config: uvicorn.Config, *, parent: int | None) -> None:
        super().__init__(config)
        self._parent = parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            tell_ready(sockets[0])
        if self._parent is not None:
            threading.Thread(target=self._watch_parent, daemon=True).start()

    def stop(self) -> None:
        self.should_exit = True

    def _watch_parent(self) -> None:
        while not is_orphan(self._parent):
            time.sleep(_PARENT_POLL_S)
        time.sleep(_OUTLIVE_PARENT_S)
        self.should_exit = True


def main() -> int:
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        return _run_command(sys.argv[1:])
    options = _parse_arguments()
    is_worker = options.fd is not None
    flags = {name: value for name, value in (("HOST", options.host), ("PORT", options.port)) if value is not None}
    try:
        settings = read_settings({**os.environ, **flags})
        # A worker gets its listening socket from the supervisor, which has checked the host.
        switch_on(os.environ, host=None if is_worker else settings.host, tells=not is_worker)
        listener = socket.socket(fileno=options.fd) if is_worker else _listen(settings)
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # uvicorn installs its own handlers while it serves, and raises the signal again after a clean shutdown.
    stop = Stop()
    parent = None if options.exit_with_parent is None else options.exit_with_parent or os.getppid()
    with (
        under_parent(parent, options.directory),
        _temporary_directory(settings, options.directory, is_worker=is_worker) as directory,
    ):
        database = settings.database or os.path.join(directory, "ledger.sqlite3")  # noqa: PTH118
        if not is_worker and not _has_database(database, settings.accounts):
            listener.close()
            return 2
        if is_worker or settings.workers == 1:
            return _serve(settings, database, listener, parent=parent, stop=stop)
        return supervise(
            settings.workers,
            listener,
            database,
            directory,
            parent=parent,
            stop=stop,
            passes_on_hangup=settings.protection.has_files,
        )


def _has_database(path: str, accounts: int) -> bool:
    """Create the database if it doesn't exist; if it is unusable, print why to standard error and return False."""
    try:
        create_database(path, accounts)
    except UnusableDatabaseError as error:
        sys.stderr.write(f"{error}\n")
        return False
    return True


def _run_command(arguments: list[str]) -> int:
    try:
        switch_on(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return run_command(arguments)


def _temporary_directory(settings: Settings, within: str | None, *, is_worker: bool) -> AbstractContextManager[str]:
    """For the ledger and for files that workers share; creates nothing if neither is needed."""
    if settings.database and (is_worker or settings.workers == 1):
        return nullcontext("")
    return tempfile.TemporaryDirectory(prefix="loadproof-target-", dir=within)


def _serve(settings: Settings, database: str, listener: socket.socket, *, parent: int | None, stop: Stop) -> int:
    """Serve in this process until stopped; returns the exit code."""
    app = make_app(settings, database)
    if settings.protection.has_files:
        # Without list files there is nothing to reload, so SIGHUP ends the program, as when its terminal closes.
        signal.signal(signal.SIGHUP, lambda *_: app.state.protection.reload())
    share = FairShare(app.state.protection.clients, on_waited=app.state.metrics.protection.deferred)
    config = uvicorn.Config(
        app,
        http=fair(share),
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACEFUL_S,
        backlog=4096,
    )
    server = _Server(config, parent=parent)
    stop.then = server.stop
    if stop.is_wanted:
        return 0
    server.run(sockets=[listener])
    return 0 if server.started or stop.is_wanted else 2


def _parse_arguments() -> argparse.Namespace:
    width = max(map(len, VARIABLES))
    lines = [
        f"  {name:{width}}  {meaning} (default: {default or 'none'})" for name, (default, meaning) in VARIABLES.items()
    ]
    parser = argparse.ArgumentParser(
        prog="python -m payments_api",
        description=f"The reference payments API. Also: %(prog)s {'|'.join(COMMANDS)}, each with its own --help.",
        epilog="environment variables:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="overrides HOST")
    parser.add_argument("--port", help="overrides PORT")
    parser.add_argument(
        "--exit-with-parent",
        nargs="?",
        const=0,
        type=int,
        metavar="PID",
        help="exit when the process that started this one exits; with its PID, also if it does so at once",
    )
    parser.add_argument(
        "--directory", help="for temporary files; removed after an exit with the parent, which removes it otherwise"
    )
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        raise OSError(f"PORT: can't listen on {where}: {error.strerror}; choose another port, or 0") from None
    return listener


if __name__ == "__main__":
    sys.exit(main())
