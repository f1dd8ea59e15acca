"""Locust's web UI for the same users, against the embedded target or your own."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from loadproof import variables
from loadproof.api import signing
from loadproof.generator.guards.leftovers import ending_leftovers
from loadproof.run.machine.openfiles import MOST_CONNECTIONS, allow_open_files
from loadproof.run.machine.ports import LOOPBACK
from loadproof.run.processes import children
from loadproof.run.processes.locust import MODULE
from loadproof.run.target.embedded import embedded_target, targets_directory
from loadproof.scenario.safety import permit
from loadproof.scenario.target.variables import permissions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.run.processes.stopping import StopSignal
    from loadproof.scenario.target.targetfile import TargetFile

_STOP_POLL_S: Final = 0.2
_ACCOUNTS: Final = 240_000
"""Accounts of the embedded target: three per client, and the number of users isn't known in advance."""


def serve(
    target: TargetFile | None,
    *,
    locustfiles: Path,
    hosts: Sequence[str],
    allowed: Sequence[str],
    port: int,
    stop_signal: StopSignal,
) -> None:
    """Serve until a signal arrives; only Locust's own statistics are recorded.

    `hosts` are the base URLs set by the users of a plain locustfile, loaded if there is no `target`; `allowed` are
    other hosts that they may send to.
    """
    generator_cores, target_cores = children.share_cores()
    allow_open_files(MOST_CONNECTIONS)
    is_embedded = target is None and not hosts
    secret = {variables.WEBHOOK_SECRET: signing.new_webhook_secret()} if is_embedded else {}
    with ExitStack() as stack:
        directory = stack.enter_context(children.empty_directory())
        base_url = None if target is None else target.base_url
        if is_embedded:
            settings = {"ACCOUNTS": str(_ACCOUNTS), **secret}
            log, stopped = directory / "target.log", stop_signal.__bool__
            temporary = stack.enter_context(targets_directory())
            embedded = embedded_target(
                settings, temporary=temporary, cores=target_cores, log=log, stop_requested=stopped
            )
            base_url = stack.enter_context(embedded).base_url
        address = (*(("--host", base_url) if base_url else ()), "--web-host", LOOPBACK, "--web-port", str(port))
        command = children.python(MODULE, "-f", str(locustfiles.resolve()), *address)
        named = [*(urlsplit(host).hostname or "" for host in hosts), *allowed]
        permitted = permit([LOOPBACK, *named], secret) if target is None else permissions_of(target, hosts, allowed)
        environment = secret | permitted | stack.enter_context(ending_leftovers())
        # A plain locustfile may open files relative to the user's working directory.
        directory = Path.cwd() if locustfiles.is_file() else directory
        ui = children.start(command, directory=directory, environment=environment, cores=generator_cores, log=None)
        stack.callback(children.stop, ui)
        while ui.poll() is None and not stop_signal:
            time.sleep(_STOP_POLL_S)
