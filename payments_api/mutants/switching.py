"""Switches on the mutant that TARGET_MUTANT names when a process starts; only where no stranger can reach it."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from payments_api.settings import SettingsError
from payments_api.values import whole_number

if TYPE_CHECKING:
    from payments_api.mutants.mutant import Mutant

VARIABLE: Final = "TARGET_MUTANT"


def switch_on(environment: Mapping[str, str], *, host: str | None = None, tells: bool = True) -> None:
    """Call this before the application is built; it does nothing unless the variable is set. SettingsError if invalid.

    `host` is the address to listen on, if any; with `tells`, a line on standard error says that the mutant is on.
    """
    text = environment.get(VARIABLE, "")
    if not text:
        return
    # Imported here so that faults are only loaded when one is wanted.
    from payments_api.mutants.catalogue import MUTANTS

    name, _, number = text.partition(":")
    if problems := [*_misnamed(text, MUTANTS), *_exposed(host)]:
        raise SettingsError("\n".join(f"{VARIABLE}: got {ascii(text)[:100]}; {problem}" for problem in problems))
    if tells:
        sys.stderr.write(f"payments_api: {VARIABLE}={text} is on: this API breaks a promise on purpose\n")
        sys.stderr.flush()
    MUTANTS[name].apply(setattr, int(number) if number else None)


def _misnamed(text: str, mutants: Mapping[str, Mutant]) -> Iterator[str]:
    name, colon, number = text.partition(":")
    if name not in mutants:
        yield f"write one of {', '.join(mutants)}"
    elif colon and mutants[name].number is None:
        yield f"{name} takes no number; write {name}"
    elif colon:
        try:
            whole_number(1, 1_000_000)(number)
        except ValueError as error:
            yield f"after the colon, {error}"


def _exposed(host: str | None) -> Iterator[str]:
    try:
        is_exposed = host is not None and not ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A host name may resolve to anything; an empty one means all addresses.
        is_exposed = True
    if is_exposed:
        yield f"only on loopback, and not on {host or 'all addresses'}; set HOST to 127.0.0.1, or unset {VARIABLE}"
