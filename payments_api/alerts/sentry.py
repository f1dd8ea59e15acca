"""Reports errors in handlers to Sentry: what happened and where, but nothing about the people in a request.

The SDK has a bounded queue and sends from its own thread, so a hanging Sentry doesn't delay requests.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sentry_sdk.types import Event

    from payments_api.alerts.options import Sentry

_LONGEST_VALUE: Final = 300
_ACCOUNTS: Final = re.compile(r"acct-\w+")
_KEPT_OF_REQUEST: Final = ("method",)
_SHUTDOWN_S: Final = 2
_COLLECTED: Final = {
    "user_info": False,
    "cookies": {"mode": "off"},
    "http_headers": {"request": {"mode": "off"}},
    "http_bodies": [],
    "url_query_params": {"mode": "off"},
    # A handler's local variables hold the request: orders, keys, accounts.
    "stack_frame_variables": False,
}
"""Nothing about people and their requests."""


def start_sentry(options: Sentry | None, secrets: Iterable[str] = ()) -> None:
    """Call before the application is built; `secrets` are texts that must not be sent. Does nothing without options."""
    if options is None:
        return
    # Only imported if used.
    import sentry_sdk
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.fastapi import FastApiIntegration
    from sentry_sdk.integrations.starlette import StarletteIntegration
    from sentry_sdk.integrations.threading import ThreadingIntegration

    hidden = [secret for secret in secrets if secret]
    integrations = [
        StarletteIntegration(transaction_style="endpoint"),
        FastApiIntegration(transaction_style="endpoint"),
        DedupeIntegration(),
        ExcepthookIntegration(),
        ThreadingIntegration(),
    ]
    sentry_sdk.init(
        dsn=options.dsn,
        environment=options.environment,
        release=options.release or None,
        data_collection=cast("Any", _COLLECTED),
        max_request_body_size="never",
        max_breadcrumbs=0,
        # Listed explicitly: the default ones send the command line, log lines and the addresses that are called.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=integrations,
        auto_session_tracking=False,
        # Otherwise the SDK uses Brotli if it is installed, which not every server with Sentry's protocol accepts.
        _experiments=cast("Any", {"transport_compression_algo": "gzip"}),
        shutdown_timeout=_SHUTDOWN_S,
        before_send=lambda event, _hint: cast("Event", scrubbed(cast("dict[str, Any]", event), hidden)),
    )


def scrubbed(event: dict[str, Any], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """The event without the user and, but for its method, the request; without account numbers and secrets."""
    request = event.pop("request", None)
    if isinstance(request, dict):
        event["request"] = {name: request[name] for name in _KEPT_OF_REQUEST if name in request}
    for name in ("user", "breadcrumbs", "extra"):
        event.pop(name, None)
    hidden = tuple(secrets)
    for exception in (event.get("exception") or {}).get("values") or []:
        if isinstance(exception.get("value"), str):
            exception["value"] = exception["value"][:_LONGEST_VALUE]
    return {name: _clean(value, hidden) for name, value in event.items()}


def _clean(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "[secret]")
        return _ACCOUNTS.sub("[account]", value)
    if isinstance(value, dict):
        return {name: _clean(inner, secrets) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(inner, secrets) for inner in value]
    return value
