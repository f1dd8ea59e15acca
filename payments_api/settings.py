"""Turns environment variables into validated `Settings`; reports all invalid ones at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from payments_api.alerts.options import ALERT_SECRETS, ALERT_VARIABLES, AlertOptions, read_alert_options
from payments_api.backups.options import BACKUP_VARIABLES, BackupOptions, read_backup_options
from payments_api.protection import options
from payments_api.protection.options import ENDPOINTS
from payments_api.values import matching, number, whole_number

DEVELOPMENT_SECRET: Final = "whsec_bG9hZHByb29mLWRldmVsb3BtZW50LWtleQ=="  # noqa: S105 - public, for development only
DEVELOPMENT_TOKEN: Final = "loadproof-development-token"  # noqa: S105 - public, for development only
_FAULTS_REMEDY: Final = f"write JSON by endpoint ({', '.join(ENDPOINTS)})"


class SettingsError(Exception):
    """One line per invalid setting: `where: got X; remedy`."""


@dataclass(frozen=True)
class Fault:
    """Deliberate faults in the answers of one endpoint."""

    delay_ms: float = 0.0
    error_ratio: float = 0.0
    wrong_body: bool = False
    hang: bool = False
    cut: bool = False
    retry_after_s: int = 0
    """Replaces the true Retry-After of refusals; 0: keeps it."""


@dataclass(frozen=True)
class Settings:
    host: str
    port: int
    database: str
    accounts: int
    workers: int
    webhook_secret: str
    telegram_secret: str
    protection: options.Options
    faults: Mapping[str, Fault] | None
    """None: no faults, and no endpoint to switch them on."""
    bottleneck_s: float = 0.0
    """Time that each request takes in one queue; 0: none."""
    audit: bool = False
    """Whether to serve the endpoints that show the whole ledger."""
    backups: BackupOptions | None = None
    """None: this process makes no backups."""
    alerts: AlertOptions = field(default_factory=AlertOptions)


VARIABLES: Final[dict[str, tuple[str, str]]] = {
    "HOST": ("127.0.0.1", "address to listen on"),
    "PORT": ("8000", "port to listen on; 0 takes a free one"),
    "DATABASE": ("", "SQLite file; a temporary one if empty"),
    "ACCOUNTS": ("2000", "funded accounts to start with"),
    **options.VARIABLES,
    "WORKERS": (
        "1",
        "processes that share the port and the database; each keeps its own limits unless LIMITER=redis",
    ),
    "WEBHOOK_SECRET": (DEVELOPMENT_SECRET, "key of webhook signatures, whsec_ and base64"),
    "TELEGRAM_SECRET": (DEVELOPMENT_TOKEN, "secret token of Telegram's webhooks"),
    "FAULTS": ("", 'deliberate faults, like {"balance": {"delay_ms": 300}}; {} allows PUT /faults'),
    "BOTTLENECK_MS": ("0", "time that each request takes in one queue of its process; 0: none"),
    "TARGET_MUTANT": ("", "breaks one promise on purpose, to test audits; only on loopback"),
    "AUDIT": ("off", "on shows all balances, payments and effects to anyone, below /audit"),
    **BACKUP_VARIABLES,
    **ALERT_VARIABLES,
}
"""Default and meaning by name; printed by `python -m payments_api --help`."""

_SECRETS: Final = frozenset({"WEBHOOK_SECRET", "TELEGRAM_SECRET", "REDIS_URL"})
_TOKEN: Final = r"[A-Za-z0-9_-]{1,256}"  # noqa: S105 - a pattern
_SECRET: Final = r"whsec_(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"  # noqa: S105 - a pattern


class _Reader:
    """Parses variables one by one and collects the errors."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.texts = {name: environment.get(name, default) for name, (default, _) in VARIABLES.items()}
        self.mistakes: dict[str, str] = {}

    def __call__(self, name: str, parse: Callable[[str], Any]) -> Any:
        try:
            return parse(self.texts[name])
        except ValueError as error:
            self.refuse(name, error)
            return None

    def refuse(self, name: str, remedy: object) -> None:
        shown = "a secret" if name in _SECRETS | ALERT_SECRETS else ascii(self.texts[name])
        self.mistakes[name] = f"{name}: got {shown if self.texts[name] else 'nothing'}; {remedy}"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables; raises SettingsError listing everything that is wrong."""
    read = _Reader(environment)
    texts = read.texts
    alerts, alert_mistakes = read_alert_options(texts)
    backup_mistakes: list[str] = []
    values = {
        "host": texts["HOST"],
        "port": read("PORT", whole_number(0, 65_535)),
        "database": texts["DATABASE"],
        "accounts": read("ACCOUNTS", whole_number(2, 1_000_000)),
        "workers": read("WORKERS", whole_number(1, 64)),
        "telegram_secret": read("TELEGRAM_SECRET", matching(_TOKEN, "write 1 to 256 of A-Z, a-z, 0-9, _ and -")),
        "webhook_secret": read("WEBHOOK_SECRET", matching(_SECRET, "write whsec_ and the key in base64")),
        "protection": options.read_options(read),
        "faults": read("FAULTS", parse_faults) if texts["FAULTS"] else None,
        "bottleneck_s": (read("BOTTLENECK_MS", number(0, 60_000)) or 0) / 1000,
        "audit": read("AUDIT", matching("on|off", "write on or off")) == "on",
        # The S3 keys aren't in VARIABLES; they only exist in the environment.
        "backups": read_backup_options(environment, backup_mistakes),
        "alerts": alerts,
    }
    for name, remedy in [*options.contradictions(texts, frozenset(read.mistakes)), *alert_mistakes.items()]:
        read.refuse(name, remedy)
    if mistakes := [*(read.mistakes[name] for name in VARIABLES if name in read.mistakes), *backup_mistakes]:
        raise SettingsError("\n".join(mistakes))
    return Settings(**values)


def parse_faults(text: str | bytes) -> dict[str, Fault]:
    """Faults by endpoint, from JSON; ValueError says how to fix it."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(_FAULTS_REMEDY) from None
    if not isinstance(content, dict) or not set(content) <= set(ENDPOINTS):
        raise ValueError(_FAULTS_REMEDY)
    types = {field.name: type(field.default) for field in fields(Fault)}
    for fault in content.values():
        if not isinstance(fault, dict) or not set(fault) <= set(types):
            raise ValueError(f"give a fault {', '.join(types)}")
        for name, setting in fault.items():
            if isinstance(setting, bool) is not (types[name] is bool) or not isinstance(setting, (int, float)):
                raise ValueError(f"give {name} a {types[name].__name__}")
    return {endpoint: Fault(**fault) for endpoint, fault in content.items()}
