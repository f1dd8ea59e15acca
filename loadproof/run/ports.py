"""Ports of this machine that a run listens on: bound, or refused with the reason before anything starts."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


def taken(host: str, port: int, where: str) -> socket.socket:
    """A socket that listens there (0: any free port); InputError with the system's reason if it can't."""
    name = "" if host == "*" else host.strip("[]")
    try:
        listener = socket.create_server((name, port), family=socket.AF_INET6 if ":" in name else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        # create_server adds the address to the system's message.
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        remedy = "free it, or give another one"
        raise InputError(Problem(where, f"can't listen there: {reason}", remedy, got=f"{host}:{port}")) from None
    # Whoever accepts connections waits for them in an event loop.
    listener.setblocking(False)
    return listener


def check_free_ports(addresses: Mapping[str, tuple[str, int] | None]) -> None:
    """InputError with all addresses, by option, on which nothing could listen now."""
    problems: list[Problem] = []
    for where, address in addresses.items():
        try:
            if address is not None:
                taken(*address, where).close()
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
