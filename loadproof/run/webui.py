"""Locust's web UI on the same users, against the embedded target or somebody's own."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from loadproof import variables
from loadproof.api import signing
from loadproof.run import children
from loadproof.run.embedded import embedded_target
from loadproof.scenario.safety import permit_target

if TYPE_CHECKING:
    from loadproof.run.stopping import StopSignal
    from loadproof.scenario.targetfile import TargetFile

_STOP_POLL_S = 0.2


def serve(target: TargetFile | None, *, locustfiles: Path, port: int, stop_signal: StopSignal) -> None:
    """Serve until a signal comes; nothing is recorded beside Locust's own statistics."""
    generator_cores, target_cores = children.share_cores()
    secret = {variables.WEBHOOK_SECRET: signing.new_secret()} if target is None else {}
    with ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadproof-ui-"))) / "target.log"
        if target is None:
            embedded = embedded_target(secret, cores=target_cores, log=log, stop_requested=stop_signal.__bool__)
            _, base_url = stack.enter_context(embedded)
        else:
            base_url = target.base_url
        command = [
            *(sys.executable, "-m", "locust", "-f", str(locustfiles.resolve())),
            *("--host", base_url, "--web-host", "127.0.0.1", "--web-port", str(port)),
        ]
        ui = children.start(command, environment=secret | permit_target(base_url), cores=generator_cores, log=None)
        stack.callback(children.stop, ui)
        while ui.poll() is None and not stop_signal:
            time.sleep(_STOP_POLL_S)
