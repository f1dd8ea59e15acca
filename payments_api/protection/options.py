"""Turns environment variables into validated options of the protection, and finds contradictions among them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from payments_api.protection.lists.bots import RULES_FILE, parse_rules
from payments_api.protection.lists.networks import is_too_wide, parse_allowed, parse_networks
from payments_api.protection.lists.reloading import in_time, read_file
from payments_api.protection.penalties import PenaltyRule
from payments_api.protection.redisurl import checked_redis_url
from payments_api.values import Network, Read, matching, networks, number, whole_number

ENDPOINTS: Final = ("health", "balance", "transactions", "webhooks")
OTHER: Final = "other"
"""Anything that isn't an endpoint: unknown paths, documentation."""
METRICS: Final = "/metrics"
MONITORING: Final = frozenset({METRICS, "/health/ready"})

VARIABLES: Final[dict[str, tuple[str, str]]] = {
    "LIMITER": ("local", "local, redis (shared by all processes), slowapi (the library) or off"),
    "LIMIT_HEALTH": ("60/min", "requests per client"),
    "LIMIT_BALANCE": ("30/min", "requests per client"),
    "LIMIT_TRANSACTIONS": ("10/min", "requests per client"),
    "LIMIT_WEBHOOKS": ("5/min", "requests per client"),
    "LIMIT_OTHER": ("60/min", "requests per client to all other paths together"),
    "MOST_CLIENTS": (
        "50000",
        "clients per endpoint that a process remembers; beyond that, the one unseen for longest is forgotten",
    ),
    "REDIS_URL": ("", "where LIMITER=redis (or slowapi) keeps its counts, like redis://127.0.0.1:6379/0"),
    "REDIS_TIMEOUT": ("0.25", "seconds to wait for Redis before limits are kept locally"),
    "PENALTY_BASE": ("0", "seconds of the first penalty for exceeding a limit; 0: no penalties"),
    "PENALTY_FACTOR": ("2", "factor for each further violation"),
    "PENALTY_CAP": ("600", "seconds of the longest penalty"),
    "PENALTY_MEMORY": ("600", "seconds without a violation that undo one"),
    "BOTS": (
        "off",
        "refuse bots by User-Agent: off, on, or strict (also ordinary HTTP libraries, and requests without one)",
    ),
    "BOTS_FILE": ("", "rules of the bot check; the built-in ones if empty"),
    "ALLOW_FILE": ("", "file of networks that only the deny list refuses, one per line"),
    "DENY_FILE": ("", "file of networks that are refused, one per line"),
    "CLIENT_HEADER": ("", "header that identifies the client, from trusted networks only"),
    "TRUSTED_NETWORKS": ("", "networks, comma-separated, whose CLIENT_HEADER is trusted"),
    "METRICS": (
        "public",
        "public, or private: /metrics answers 404 to requests with CLIENT_HEADER, which the proxy sends",
    ),
}
"""Default and meaning by name."""

_PRIVATE: Final = {"private": frozenset({METRICS})}
LIMIT: Final = r"[1-9]\d{0,8}/(s|min|h)"


@dataclass(frozen=True)
class Options:
    """Fields are named after the variables; durations in seconds."""

    limiter: str = "local"
    limits: Mapping[str, str] = field(default_factory=lambda: {OTHER: "60/min"})
    """By the first segment of a path, after `prefix`; `other` for everything without its own limit."""
    prefix: str = ""
    """Prefix of the paths of limited endpoints, like /api/v1."""
    most_clients: int = 50_000
    redis_url: str = ""
    redis_timeout_s: float = 0.25
    penalty: PenaltyRule | None = None
    bots: str = "off"
    bots_file: str = ""
    allow_file: str = ""
    deny_file: str = ""
    client_header: str = ""
    trusted_networks: tuple[Network, ...] = ()
    monitoring: frozenset[str] = MONITORING
    """Paths exempt from limits and the bot check, for GET and HEAD; their answers must be the same for everybody.

    Beyond a small budget of CPU time, an answer that is up to a second old is repeated.
    """
    private: frozenset[str] = frozenset()
    """Paths hidden (404) from requests that came through the proxy, which carry `client_header`."""

    def __post_init__(self) -> None:
        if OTHER not in self.limits:
            raise ValueError(f"limits: {OTHER} is missing; add it: it limits all paths without their own limit")
        if remedy := _without_strangers(self.trusted_networks or ()):
            raise ValueError(f"trusted_networks: {remedy}")

    @property
    def has_files(self) -> bool:
        """Whether there are files of lists or rules, which can be reloaded."""
        return bool(self.deny_file or self.allow_file or self.bots_file)


def read_options(read: Read) -> Options:
    """Options from variables; `read` records errors and then returns None: use the options only if there are none."""
    return Options(
        limiter=read("LIMITER", matching(r"local|redis|slowapi|off", "use local, redis, slowapi or off")),
        limits={
            name: read(f"LIMIT_{name.upper()}", matching(LIMIT, "write it like 60/min (s, min, h)"))
            for name in (*ENDPOINTS, OTHER)
        },
        most_clients=read("MOST_CLIENTS", whole_number(100, 5_000_000)),
        redis_url=read("REDIS_URL", checked_redis_url),
        redis_timeout_s=read("REDIS_TIMEOUT", number(0.01, 5)),
        penalty=_penalty(read),
        bots=read("BOTS", matching("off|on|strict", "use off, on or strict")),
        bots_file=read("BOTS_FILE", _file_of(parse_rules)),
        allow_file=read("ALLOW_FILE", _file_of(parse_allowed)),
        deny_file=read("DENY_FILE", _file_of(parse_networks)),
        client_header=read("CLIENT_HEADER", matching(r"[A-Za-z0-9-]{0,64}", "write the name of a header")),
        trusted_networks=read("TRUSTED_NETWORKS", _proxies),
        private=_PRIVATE.get(read("METRICS", matching("public|private", "use public or private")), frozenset()),
    )


class _Contradiction(NamedTuple):
    name: str
    others: tuple[str, ...]
    holds: Callable[[Mapping[str, str]], object]
    remedy: str


def contradictions(values: Mapping[str, str], wrong: Collection[str]) -> Iterator[tuple[str, str]]:
    """Variable and remedy for each that contradicts others; skips variables that are `wrong` by themselves."""
    for name, others, holds, remedy in _CONTRADICTIONS:
        if not {name, *others} & set(wrong) and holds(values):
            yield name, remedy


_PENALTY_DETAILS: Final = ("PENALTY_FACTOR", "PENALTY_CAP", "PENALTY_MEMORY")


def _has_penalties(values: Mapping[str, str]) -> bool:
    return float(values["PENALTY_BASE"]) > 0


def _has_networks(values: Mapping[str, str]) -> bool:
    return bool(values["TRUSTED_NETWORKS"].strip(" ,"))


def _changes_penalties(values: Mapping[str, str]) -> bool:
    return any(values[name] != VARIABLES[name][0] for name in _PENALTY_DETAILS)


_CONTRADICTIONS: Final = (
    _Contradiction(
        "LIMITER",
        ("REDIS_URL",),
        lambda of: of["LIMITER"] == "redis" and not of["REDIS_URL"],
        "name the server in REDIS_URL",
    ),
    _Contradiction(
        "REDIS_URL",
        ("LIMITER",),
        lambda of: of["REDIS_URL"] and of["LIMITER"] in {"local", "off"},
        "no effect without LIMITER=redis; set that, or leave this empty",
    ),
    _Contradiction(
        "PENALTY_BASE",
        ("LIMITER",),
        lambda of: _has_penalties(of) and of["LIMITER"] == "off",
        "no effect with LIMITER=off: nothing is exceeded; give 0, or turn the limiter on",
    ),
    _Contradiction(
        "PENALTY_CAP",
        ("PENALTY_BASE",),
        lambda of: float(of["PENALTY_BASE"]) > float(of["PENALTY_CAP"]),
        "give at least PENALTY_BASE",
    ),
    _Contradiction(
        "PENALTY_BASE",
        _PENALTY_DETAILS,
        lambda of: not _has_penalties(of) and _changes_penalties(of),
        f"without it {', '.join(_PENALTY_DETAILS)} have no effect; give it, or leave them out",
    ),
    _Contradiction(
        "BOTS_FILE",
        ("BOTS",),
        lambda of: of["BOTS_FILE"] and of["BOTS"] == "off",
        "no effect with BOTS=off; give on or strict, or leave this empty",
    ),
    _Contradiction(
        "CLIENT_HEADER",
        ("TRUSTED_NETWORKS",),
        lambda of: of["CLIENT_HEADER"] and not _has_networks(of),
        "nobody is trusted to send it; name the proxies in TRUSTED_NETWORKS",
    ),
    _Contradiction(
        "TRUSTED_NETWORKS",
        ("CLIENT_HEADER",),
        lambda of: _has_networks(of) and not of["CLIENT_HEADER"],
        "no effect without CLIENT_HEADER; name the header that these proxies send",
    ),
    _Contradiction(
        "METRICS",
        ("CLIENT_HEADER",),
        lambda of: of["METRICS"] == "private" and not of["CLIENT_HEADER"],
        "nothing shows who comes through the proxy; set CLIENT_HEADER to the header that it sends",
    ),
)


def _penalty(read: Read) -> PenaltyRule | None:
    base_s = read("PENALTY_BASE", number(0, 86_400))
    factor = read("PENALTY_FACTOR", number(1, 100))
    cap_s = read("PENALTY_CAP", number(1, 86_400))
    memory_s = read("PENALTY_MEMORY", number(1, 86_400))
    if not base_s or not factor or not cap_s or not memory_s:
        return None
    return PenaltyRule(base_s=base_s, factor=factor, cap_s=cap_s, memory_s=memory_s)


def _proxies(text: str) -> tuple[Network, ...]:
    proxies = networks(text)
    if remedy := _without_strangers(proxies):
        raise ValueError(remedy)
    return proxies


def _without_strangers(found: Iterable[Network]) -> str:
    """What to do about networks that are too wide for proxies; '' if there are none."""
    wide = ", ".join(str(network) for network in found if is_too_wide(network))
    return f"anybody in {wide} could claim to be any client; name only your proxies' networks" if wide else ""


def _file_of(parse: Any) -> Any:
    def checked(text: str) -> str:
        if text:
            path = Path(text)
            parse(in_time(lambda: read_file(path), path))
        return text

    return checked


def bots_file(options: Options) -> Path:
    return Path(options.bots_file) if options.bots_file else RULES_FILE
