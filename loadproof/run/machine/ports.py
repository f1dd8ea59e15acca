"""Checks and binds the ports that a run listens on, before anything starts."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK: Final = "127.0.0.1"
_OUTGOING: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST: Final = 10_000
_ATTEMPTS: Final = 100


def taken(host: str, port: int, where: str) -> socket.socket:
    """A socket that listens on this port (0: any free one); InputError with the system's reason if it can't."""
    name = "" if host == "*" else host.strip("[]")
    try:
        listener = socket.create_server((name, port), family=socket.AF_INET6 if ":" in name else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        # create_server adds the address to the system's message.
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        remedy = "free it, or give another one"
        raise InputError(Problem(where, f"can't listen there: {reason}", remedy, got=f"{host}:{port}")) from None
    # The process that accepts connections does so in an event loop.
    listener.setblocking(False)
    return listener


def check_free_ports(addresses: Mapping[str, tuple[str, int] | None]) -> None:
    """InputError with all addresses that can't be listened on now; `addresses` are by option."""
    problems: list[Problem] = []
    for where, address in addresses.items():
        try:
            if address is not None:
                taken(*address, where).close()
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


def free_port() -> int:
    """A free loopback port, for a program that binds it a moment later.

    Outside the range for outgoing connections: under load, any port in it may be taken by then.
    """
    with suppress(OSError, ValueError):
        for port in random.sample(range(_LOWEST, int(_OUTGOING.read_text().split()[0])), k=_ATTEMPTS):
            with suppress(OSError), socket.create_server((LOOPBACK, port)):
                return port
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])
