"""Which hosts we may load and what we may send them: loopback always, any other host and variable only if named."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from loadproof.errors import InputError, Problem, UnsafeTargetError

if TYPE_CHECKING:
    from collections.abc import Iterable

ALLOWED_VARIABLE: Final = "LOADPROOF_ALLOW_HOSTS"
ALLOWED_VARIABLES: Final = "LOADPROOF_ALLOW_VARIABLES"
"""Lists the environment variables of a worker whose values may be sent to the master's target."""
ALLOWED_FILES: Final = "LOADPROOF_ALLOW_FILES"
"""Lists the files of a worker with which it may identify itself to the master's target."""


def check_base_url(base_url: str, where: str) -> None:
    """InputError unless this is a plain http(s) URL; one that contains a password is never printed."""
    try:
        url = urlsplit(base_url)
        # Checked as written: urlsplit drops line breaks.
        well_formed = _is_plain(url) and base_url.isascii() and base_url.isprintable() and " " not in base_url
    except ValueError:
        well_formed = False
        url = SplitResult("", "", "", "", "")
    if "@" in base_url:
        remedy = "give tokens by environment variable"
        raise InputError(Problem(where, "credentials in a URL end up in logs", remedy))
    if not well_formed or not url.hostname:
        # A query may contain a token.
        shown, query, _ = base_url.partition("?")
        got = f"{shown}?…" if query else shown
        raise InputError(Problem(where, "not a base URL", "write it like http://127.0.0.1:8000", got=got))
    if _has_odd_segments(url.path):
        what = "a base URL whose path has `.`, `..` or empty segments, which would be sent as they are"
        raise InputError(Problem(where, what, "write the path that they lead to", got=base_url))


def _is_plain(url: SplitResult) -> bool:
    has_port = url.port is None or url.port > 0
    return url.scheme in {"http", "https"} and has_port and not url.query and not url.fragment


def _has_odd_segments(path: str) -> bool:
    """Whether it has empty or dot segments; clients resolve dots before sending. Source: RFC 3986, section 5.2.4."""
    segments = path.rstrip("/").split("/")[1:]
    return any(segment.lower().replace("%2e", ".") in {"", ".", ".."} for segment in segments)


def check_host(base_url: str, allowed: Iterable[str], where: str = "target") -> None:
    """UnsafeTargetError, before the first packet, for a host that is neither loopback nor allowed."""
    host = urlsplit(base_url).hostname or ""
    if not may_load(host, allowed):
        remedy = f"if you may load it, name it with --allow-host {host} or in {ALLOWED_VARIABLE}"
        raise UnsafeTargetError(Problem(where, "this host is not on the allow list", remedy, got=host))


def may_load(host: str, allowed: Iterable[str] = ()) -> bool:
    """Whether the host is loopback, or was named here or in the environment."""
    names = {name.strip().lower() for name in (*allowed, *_listed(ALLOWED_VARIABLE))}
    return is_loopback(host) or host.lower() in names


def allowed_hosts(allowed: Iterable[str] = ()) -> tuple[str, ...]:
    """Hosts that were named, here or in the environment."""
    return (*allowed, *_listed(ALLOWED_VARIABLE))


def allowed_variables() -> set[str]:
    """Variables that this process may read for the target of a master elsewhere."""
    return set(_listed(ALLOWED_VARIABLES))


def allowed_files() -> set[str]:
    """Files with which this process may identify itself to the target of a master elsewhere."""
    return set(_listed(ALLOWED_FILES))


def permit(
    hosts: Iterable[str] = (), variables: Iterable[str] = (), files: Iterable[str] = (), *, besides: bool = False
) -> dict[str, str]:
    """The environment of a child that may load, read and use only these; `besides`: in addition to what we may."""
    granted = {ALLOWED_VARIABLE: hosts, ALLOWED_VARIABLES: variables, ALLOWED_FILES: files}
    return {name: ",".join([*(_listed(name) if besides else ()), *added]) for name, added in granted.items()}


def _listed(variable: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def is_loopback(host: str) -> bool:
    """True for loopback addresses and 'localhost'; any other name could point anywhere tomorrow."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
