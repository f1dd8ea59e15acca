"""Environment variables to checked `Settings`: every wrong one told at once."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from payments_api.alerts.options import ALERT_SECRETS, ALERT_VARIABLES, AlertOptions, read_alert_options

ENDPOINTS: Final = ("health", "balance", "transactions", "webhooks")
DEVELOPMENT_SECRET: Final = "whsec_bG9hZHByb29mLWRldmVsb3BtZW50LWtleQ=="  # noqa: S105 - public, for development only
DEVELOPMENT_TOKEN: Final = "loadproof-development-token"  # noqa: S105 - public, for development only
_FAULTS_REMEDY: Final = f"write JSON by endpoint ({', '.join(ENDPOINTS)})"
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """One line for each setting that is wrong: `where: got X; remedy`."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong on purpose with one endpoint's answers."""

    delay_ms: float = 0.0
    error_ratio: float = 0.0
    wrong_body: bool = False
    hang: bool = False
    cut: bool = False
    retry_after_s: int = 0
    """What refusals say instead of the truth, unless 0."""


@dataclass(frozen=True)
class Settings:
    host: str
    port: int
    database: str
    accounts: int
    limiter: str
    limits: Mapping[str, str]
    workers: int
    webhook_secret: str
    telegram_secret: str
    client_header: str
    trusted_networks: tuple[_Network, ...]
    faults: Mapping[str, Fault] | None
    """None: no faults, and no way to switch them on."""
    alerts: AlertOptions = field(default_factory=AlertOptions)


VARIABLES: Final[dict[str, tuple[str, str]]] = {
    "HOST": ("127.0.0.1", "address to listen on"),
    "PORT": ("8000", "port to listen on; 0 takes a free one"),
    "DATABASE": ("", "SQLite file; a temporary one if empty"),
    "ACCOUNTS": ("2000", "funded accounts to start with"),
    "LIMITER": ("slowapi", "slowapi or off"),
    "LIMIT_HEALTH": ("60/min", "requests per client"),
    "LIMIT_BALANCE": ("30/min", "requests per client"),
    "LIMIT_TRANSACTIONS": ("10/min", "requests per client"),
    "LIMIT_WEBHOOKS": ("5/min", "requests per client"),
    "WORKERS": ("1", "processes that share the port and the database; each keeps limits of its own"),
    "WEBHOOK_SECRET": (DEVELOPMENT_SECRET, "key of webhook signatures, whsec_ and base64"),
    "TELEGRAM_SECRET": (DEVELOPMENT_TOKEN, "secret token of Telegram's webhooks"),
    "CLIENT_HEADER": ("", "header that tells the client, from trusted networks only"),
    "TRUSTED_NETWORKS": ("", "networks, comma-separated, whose CLIENT_HEADER is believed"),
    "FAULTS": ("", 'deliberate faults, like {"balance": {"delay_ms": 300}}; {} allows PUT /faults'),
    **ALERT_VARIABLES,
}
"""Name to default and meaning; what `python -m payments_api --help` prints."""

_TOKEN: Final = r"[A-Za-z0-9_-]{1,256}"  # noqa: S105 - a pattern
_LIMIT: Final = r"[1-9]\d{0,8}/(s|min|h)"
_SECRET: Final = r"whsec_(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"  # noqa: S105 - a pattern


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that this environment asks for; SettingsError with all that is wrong."""
    values = {name: environment.get(name, default) for name, (default, _) in VARIABLES.items()}
    problems: list[str] = []

    def note(name: str, remedy: object) -> None:
        shown = "a secret" if name.endswith("_SECRET") or name in ALERT_SECRETS else ascii(values[name])
        problems.append(f"{name}: got {shown if values[name] else 'nothing'}; {remedy}")

    def read(name: str, parse: Callable[[str], Any]) -> Any:
        try:
            return parse(values[name])
        except ValueError as error:
            note(name, error)
            return None

    alerts, remedies = read_alert_options(values)

    found = {
        "host": values["HOST"],
        "port": read("PORT", _whole_number(0, 65_535)),
        "database": values["DATABASE"],
        "accounts": read("ACCOUNTS", _whole_number(2, 1_000_000)),
        "limiter": read("LIMITER", _matching(r"slowapi|off", "use slowapi or off")),
        "limits": {
            endpoint: read(f"LIMIT_{endpoint.upper()}", _matching(_LIMIT, "write it like 60/min (s, min, h)"))
            for endpoint in ENDPOINTS
        },
        "workers": read("WORKERS", _whole_number(1, 64)),
        "telegram_secret": read("TELEGRAM_SECRET", _matching(_TOKEN, "write 1 to 256 of A-Z, a-z, 0-9, _ and -")),
        "webhook_secret": read("WEBHOOK_SECRET", _matching(_SECRET, "write whsec_ and the key in base64")),
        "client_header": values["CLIENT_HEADER"].lower(),
        "trusted_networks": read("TRUSTED_NETWORKS", _networks),
        "faults": read("FAULTS", parse_faults) if values["FAULTS"] else None,
        "alerts": alerts,
    }
    for name, remedy in remedies.items():
        note(name, remedy)
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**found)


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,7}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError(f"give a number from {low} to {high}")
        return int(text)

    return parse


def _matching(pattern: str, remedy: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(remedy)
        return text

    return parse


def _networks(text: str) -> tuple[_Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("write networks like 10.0.0.0/8, comma-separated") from None


def parse_faults(text: str | bytes) -> dict[str, Fault]:
    """Faults by endpoint from JSON; ValueError says what is wrong."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(_FAULTS_REMEDY) from None
    if not isinstance(found, dict) or not set(found) <= set(ENDPOINTS):
        raise ValueError(_FAULTS_REMEDY)
    types = {field.name: type(field.default) for field in fields(Fault)}
    for fault in found.values():
        if not isinstance(fault, dict) or not set(fault) <= set(types):
            raise ValueError(f"give a fault {', '.join(types)}")
        for name, setting in fault.items():
            if isinstance(setting, bool) is not (types[name] is bool) or not isinstance(setting, (int, float)):
                raise ValueError(f"give {name} a {types[name].__name__}")
    return {endpoint: Fault(**fault) for endpoint, fault in found.items()}
