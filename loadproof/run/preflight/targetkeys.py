"""Finds settings of a target file that the clients of a locustfile's users can't apply."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.generator.inspection.cast import Client, Locustfile
    from loadproof.scenario.target.targetfile import TargetFile

_UNABLE: Final[dict[Client, str]] = {
    "HttpUser": r"tls\.server_name",
    "a client_pool of its own": r"tls\..*|proxy",
    "a client of its own": r".*",
}
"""Pattern of the target file's keys that a kind of client can't apply."""


def unheeded(target: TargetFile, file: Locustfile, where: str) -> Iterator[Problem]:
    """One problem per user class with keys of the target file that its client can't apply."""
    for role in file.roles:
        keys = [key for key in _keys_of(target) if re.fullmatch(_UNABLE.get(role.client, ""), key)]
        if keys:
            shown = ", ".join(f"`{key}`" for key in keys)
            what = f"`{role.name}` uses {role.client}, which doesn't support {shown} of the target file"
            yield Problem(where, what, "use `from loadproof import HttpUser`, or leave that out of the target file")


def _keys_of(target: TargetFile) -> Iterator[str]:
    """The target file's keys that affect how each request is sent."""
    yield from (f"headers.{name}" for name in target.headers)
    yield from (f"auth.{place.partition('.')[0]}" for place in (target.auth.variables if target.auth else ()))
    yield from (f"tls.{key}" for key, value in (target.tls or ()) if value not in {None, True})
    yield from ["proxy"] if target.proxy else []
