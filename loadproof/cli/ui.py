"""`loadproof ui`: Locust's web UI for the same users."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from loadproof.cli.console.options import (
    DEFAULT_LOCUSTFILES,
    HostsOption,
    LocustfilesOption,
    TargetOption,
    checked_locustfiles,
    console,
)
from loadproof.cli.preparation.plainoptions import PlainLocustfileOption, hosts_named_in
from loadproof.cli.preparation.preparing import allowed_target
from loadproof.cli.preparation.running import tell_faults, tell_ignored_settings
from loadproof.errors import InputError, Problem
from loadproof.run import webui
from loadproof.run.machine.extras import API, require
from loadproof.run.machine.ports import LOOPBACK, check_free_ports
from loadproof.run.processes.stopping import StopSignal
from loadproof.scenario.safety import allowed_hosts


def ui(
    locustfiles: LocustfilesOption = DEFAULT_LOCUSTFILES,
    locustfile: PlainLocustfileOption = None,
    target: TargetOption = None,
    allow_host: HostsOption = None,
    port: Annotated[
        int, typer.Option(metavar="PORT", help="Port of the web UI, on 127.0.0.1.", min=1, max=65535)
    ] = 8089,
) -> None:
    """Serve Locust's web UI for loadproof's users or yours."""
    stop_signal = StopSignal()
    tell_ignored_settings()
    with stop_signal.installed():
        target_file = allowed_target(target, allow_host)
        hosts = hosts_named_in(locustfile, allow_host or ()) if locustfile else []
        if target_file is None and not hosts:
            require(API)
        unheeded = [key for key in ("headers", "auth", "tls", "proxy") if getattr(target_file, key, None)]
        if unheeded:
            what = (
                f"plain Locust users only take the base URL from it, not {' and '.join(f'`{key}`' for key in unheeded)}"
            )
            raise InputError(Problem("--target", what, "use `loadproof run --ui-port PORT`"))
        check_free_ports({"--port": (LOOPBACK, port)})
        tell_faults(target_file)
        users = locustfile or checked_locustfiles(locustfiles)
        console.print(Text(f"Locust's web UI: http://127.0.0.1:{port} (Ctrl-C to stop)"))
        allowed = allowed_hosts(allow_host or ()) if locustfile else ()
        webui.serve(target_file, locustfiles=users, hosts=hosts, allowed=allowed, port=port, stop_signal=stop_signal)
