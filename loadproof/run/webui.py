"""Locust's web UI for the same users, against the embedded target or your own."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from loadproof import variables
from loadproof.api import signing
from loadproof.run import children
from loadproof.run.embedded import embedded_target
from loadproof.run.locust import MODULE
from loadproof.run.openfiles import MOST_CONNECTIONS, allow_open_files
from loadproof.run.ports import LOOPBACK
from loadproof.scenario.safety import permit
from loadproof.scenario.targetvariables import permissions_of

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.run.stopping import StopSignal
    from loadproof.scenario.targetfile import TargetFile

_STOP_POLL_S: Final = 0.2
_ACCOUNTS: Final = 240_000
"""Accounts of the embedded target: three per client, and nobody knows how many users will be requested."""


def serve(target: TargetFile | None, *, locustfiles: Path, port: int, stop_signal: StopSignal) -> None:
    """Serve until a signal arrives; only Locust's own statistics are recorded."""
    generator_cores, target_cores = children.share_cores()
    allow_open_files(MOST_CONNECTIONS)
    secret = {variables.WEBHOOK_SECRET: signing.new_webhook_secret()} if target is None else {}
    with ExitStack() as stack:
        directory = stack.enter_context(children.empty_directory())
        if target is None:
            settings = {"ACCOUNTS": str(_ACCOUNTS), **secret}
            log, stopped = directory / "target.log", stop_signal.__bool__
            embedded = embedded_target(settings, cores=target_cores, log=log, stop_requested=stopped)
            base_url = stack.enter_context(embedded).base_url
        else:
            base_url = target.base_url
        address = ("--host", base_url, "--web-host", LOOPBACK, "--web-port", str(port))
        command = children.python(MODULE, "-f", str(locustfiles.resolve()), *address)
        permitted = permit([LOOPBACK], [variables.WEBHOOK_SECRET]) if target is None else permissions_of(target)
        environment = secret | permitted
        ui = children.start(command, directory=directory, environment=environment, cores=generator_cores, log=None)
        stack.callback(children.stop, ui)
        while ui.poll() is None and not stop_signal:
            time.sleep(_STOP_POLL_S)
