"""What a target file asks of a locustfile's own clients that they can't do, found before the first packet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.generator.cast import Locustfile
    from loadproof.scenario.targetfile import TargetFile

_REMEDY: Final = "use `from loadproof import HttpUser`, or leave the key out"


def unheeded(target: TargetFile, file: Locustfile, where: str) -> Iterator[Problem]:
    """By user class, the first key of the target file that its client has no way to heed."""
    for role in file.roles:
        for key in _keys_of(target):
            if role.client != "loadproof's":
                what = f"`{role.name}` would not heed `{key}` of the target file: its client is {role.client}"
                yield Problem(where, what, _REMEDY)


def _keys_of(target: TargetFile) -> Iterator[str]:
    """Those that say how each request is sent."""
    yield from (f"headers.{name}" for name in target.headers)
    if target.auth is not None:
        yield "auth.basic" if target.auth.basic else "auth.oauth2"
    if target.tls is not None:
        yield from (f"tls.{key}" for key in target.tls.model_fields_set)
    if target.proxy is not None:
        yield "proxy"
