"""Settings of Sentry, Telegram and the incidents that the API detects itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

_TELEGRAM: Final = "https://api.telegram.org"

ALERT_VARIABLES: Final[dict[str, tuple[str, str]]] = {
    "SENTRY_DSN": ("", "where to report errors; nowhere if empty"),
    "SENTRY_ENVIRONMENT": ("production", "environment that Sentry files errors under"),
    "SENTRY_RELEASE": ("", "release that Sentry files errors under, like a git revision"),
    "TELEGRAM_ALERT_TOKEN": ("", "token of the bot that sends alerts; no alerts if empty"),
    "TELEGRAM_ALERT_CHAT": ("", "chat that alerts are sent to, like -1001234567890 or @channel"),
    "TELEGRAM_API_URL": (_TELEGRAM, "base URL of the Bot API"),
    "ALERT_ERROR_RATIO": ("0.05", "share of 5xx answers, 0 to 1, above which there is an incident"),
    "ALERT_WINDOW": (
        "60",
        "seconds over which that share is measured, and that must pass without trouble before 'recovered'",
    ),
    "ALERT_DISK_FREE": ("0.05", "free share of the database's disk, 0 to 1, below which there is an incident"),
    "ALERT_STALL": ("1", "seconds that the event loop must be blocked before there is an incident"),
}
"""Default and meaning by name."""

ALERT_SECRETS: Final = frozenset({"SENTRY_DSN", "TELEGRAM_ALERT_TOKEN"})
"""Variables whose values are never shown."""


@dataclass(frozen=True)
class Sentry:
    dsn: str = field(repr=False)
    environment: str
    release: str


@dataclass(frozen=True)
class Chat:
    """Where alerts are sent."""

    token: str = field(repr=False)
    chat: str
    base_url: str


@dataclass(frozen=True)
class AlertOptions:
    """No channel by default: nobody is notified, but incidents are still logged and counted."""

    sentry: Sentry | None = None
    telegram: Chat | None = None
    error_ratio: float = 0.05
    window_s: float = 60.0
    disk_free_ratio: float = 0.05
    stall_s: float = 1.0


def read_alert_options(environment: Mapping[str, str]) -> tuple[AlertOptions, dict[str, str]]:
    """The options, and how to correct invalid variables, by name; use the options only if there are none."""
    values = {name: environment.get(name, default) for name, (default, _) in ALERT_VARIABLES.items()}
    remedies = _mistakes(values) or _contradictions(values)
    if remedies:
        return AlertOptions(), remedies
    sentry = Sentry(values["SENTRY_DSN"], values["SENTRY_ENVIRONMENT"], values["SENTRY_RELEASE"])
    telegram = Chat(values["TELEGRAM_ALERT_TOKEN"], values["TELEGRAM_ALERT_CHAT"], values["TELEGRAM_API_URL"])
    options = AlertOptions(
        sentry=sentry if sentry.dsn else None,
        telegram=telegram if telegram.token else None,
        error_ratio=float(values["ALERT_ERROR_RATIO"]),
        window_s=float(values["ALERT_WINDOW"]),
        disk_free_ratio=float(values["ALERT_DISK_FREE"]),
        stall_s=float(values["ALERT_STALL"]),
    )
    return options, {}


def _mistakes(values: Mapping[str, str]) -> dict[str, str]:
    """How to correct each variable that is invalid by itself."""
    label = r"[\w.@+:-]{0,200}"
    patterns = {
        "SENTRY_ENVIRONMENT": (label, "write a name, like staging"),
        "SENTRY_RELEASE": (label, "write a name, like payments@1.4.2"),
        "TELEGRAM_ALERT_TOKEN": (r"|\d{1,20}:[A-Za-z0-9_-]{20,100}", "write it as BotFather gave it, 123456:ABC…"),
        "TELEGRAM_ALERT_CHAT": (r"|-?\d{1,20}|@\w{4,32}", "write a chat's number, or @ and a channel's name"),
    }
    mistakes = {
        name: remedy
        for name, (pattern, remedy) in patterns.items()
        if not re.fullmatch(pattern, values[name], re.ASCII)
    }
    ranges = {
        "ALERT_ERROR_RATIO": (0.0, 1.0),
        "ALERT_WINDOW": (1.0, 86_400.0),
        "ALERT_DISK_FREE": (0.0, 1.0),
        "ALERT_STALL": (0.05, 600.0),
    }
    for name, (low, high) in ranges.items():
        text = values[name]
        if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII) or not low <= float(text) <= high:
            mistakes[name] = f"give a number from {low:g} to {high:g}"
    if values["SENTRY_DSN"] and not _is_dsn(values["SENTRY_DSN"]):
        mistakes["SENTRY_DSN"] = "copy it from the project's settings, https://KEY@HOST/NUMBER"
    if not _is_base_url(values["TELEGRAM_API_URL"]):
        mistakes["TELEGRAM_API_URL"] = f"write it like {_TELEGRAM}"
    return mistakes


def _contradictions(values: Mapping[str, str]) -> dict[str, str]:
    """Variables that contradict each other: half a channel would be taken for a whole one."""
    token, chat = values["TELEGRAM_ALERT_TOKEN"], values["TELEGRAM_ALERT_CHAT"]
    contradictions = {}
    if token and not chat:
        contradictions["TELEGRAM_ALERT_CHAT"] = "TELEGRAM_ALERT_TOKEN needs it: set both, or none"
    if chat and not token:
        contradictions["TELEGRAM_ALERT_TOKEN"] = "TELEGRAM_ALERT_CHAT needs it: set both, or none"  # noqa: S105 - a remedy
    if values["TELEGRAM_API_URL"] != _TELEGRAM and not token and not chat:
        contradictions["TELEGRAM_API_URL"] = "nothing is sent there: set TELEGRAM_ALERT_TOKEN, or leave this out"
    return contradictions


def _is_dsn(text: str) -> bool:
    url = _split(text)
    return url is not None and bool(url.username) and bool(re.fullmatch(r"(/[\w-]+)*/\d+", url.path))


def _is_base_url(text: str) -> bool:
    url = _split(text)
    return url is not None and "@" not in text


def _split(text: str) -> SplitResult | None:
    """A plain http(s) URL without a query; None for anything else."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return None
    try:
        url = urlsplit(text)
        plain = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        # Encode as a connection would: a..b, or a label of 64 characters, is not a valid name.
        (url.hostname or "").encode("idna")
    except ValueError:
        return None
    return url if plain and not url.query and not url.fragment else None
