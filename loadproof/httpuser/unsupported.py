"""How loadproof's HttpUser differs from Locust's: what it refuses, and what it does differently.

`docs/httpuser.md` lists the same, which a test checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_OTHERWISE: Final = "use locust.HttpUser"
UNSUPPORTED: Final[Mapping[str, str]] = {
    "client.request(proxies=…)": "name the proxy in the target file",
    "client.proxies": "name the proxy in the target file",
    "client.trust_env": f"proxies and passwords of the environment are ignored, as in Locust by default; {_OTHERWISE}",
    "client.mount(…)": f"retries, and adapters of your own, have no effect here: delete the call, or {_OTHERWISE}",
    "client.request(timeout=urllib3.Timeout(…))": "give seconds, or a tuple of (connect, read) seconds",
    "HttpUser.pool_manager": f"each user has connections of its own; delete it, or {_OTHERWISE}",
}
"""Names as written in a locustfile, and what to do instead. Each raises NotSupportedError when used."""

DIFFERENCES: Final[Mapping[str, str]] = {
    "Hosts": "requests are only sent to loopback and to hosts in LOADPROOF_ALLOW_HOSTS: another host raises "
    "UnsafeTargetError, and a redirect to one is a failed request",
    "Passwords in `host`": "a base URL with a password is refused, because URLs end up in logs: set `client.auth`",
    "Response time": "from connecting or sending to the last byte, without the client's own work before and after it",
    "`stream=True`": "the response time ends at the first byte, but the call returns when the whole body has arrived",
    "Long answers": "a body of more than 10,000,000 bytes, or headers of more than 65,536, are a failed request; in a "
    "run, it is reported as loadproof's own limit",
    "Broken answers": "headers that are cut off, or that aren't HTTP, are a failed request; `http.client` reads some",
    "Closed connections": "an idempotent request is sent again if the server closed the idle connection just as it was "
    "sent; requests reports RemoteDisconnected",
    "Pools": "an `HTTPAdapter` without retries may be mounted, but its numbers of connections have no effect: a user "
    "keeps as many as it has requests in flight",
    "Exceptions": "of the same types; some texts differ, such as how many bytes of a body were missing",
    "Authorities": "those of the system, not those of the package certifi; `verify` names a file, not a directory",
    "Other clients": "only `client` of loadproof.HttpUser is loadproof's: a `locust.clients.HttpSession` that a "
    "locustfile makes is Locust's, costs as much CPU time as there, and doesn't check hosts",
}
"""What works differently, and how."""


class NotSupportedError(NotImplementedError):
    """Locust's HttpUser supports it, loadproof's doesn't."""


def not_supported(name: str) -> NotSupportedError:
    """The error for a name in UNSUPPORTED; its message says what to do instead."""
    return NotSupportedError(f"{name} is not supported by loadproof.HttpUser: {UNSUPPORTED[name]}")


def documented() -> str:
    """Both tables as Markdown, for `docs/httpuser.md`."""
    refused = [f"| `{name}` | {remedy} |" for name, remedy in UNSUPPORTED.items()]
    different = [f"| {what} | {how} |" for what, how in DIFFERENCES.items()]
    return "\n".join(
        (
            *("| refused | what to do |", "| --- | --- |", *refused, ""),
            *("| works differently | how |", "| --- | --- |", *different),
        )
    )
