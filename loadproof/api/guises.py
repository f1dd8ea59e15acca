"""Disguises calls: as coming from somebody else, or in a form that a limit may overlook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from loadproof.api.calls import Call
from loadproof.http.headers import merged
from loadproof.http.messages import Request
from loadproof.scenario.target.operations import Operation
from loadproof.scenario.traffic.usermix import EVADES, NAMES_A_STRANGER, USER_AGENT

if TYPE_CHECKING:
    from random import Random

    from loadproof.scenario.traffic.usermix import UserMix

_NOT_A_FAILURE: Final = [*range(200, 429), 431, 451]
"""Anything that a target may answer for a path that it may not know."""


class Guise:
    """The disguise of one kind of user; `of` returns None for ordinary ones."""

    def __init__(self, mix: UserMix) -> None:
        self._user_agents = mix.user_agents
        self._evades = mix.evades
        expected = _NOT_A_FAILURE if mix.evades else mix.expect
        self._operation = None if expected is None else Operation.model_validate({"path": "/", "expect": expected})

    @classmethod
    def of(cls, mix: UserMix | None) -> Guise | None:
        has_any = mix is not None and (mix.user_agents or mix.evades or mix.expect is not None)
        return cls(mix) if mix is not None and has_any else None

    @property
    def takes_any_answer(self) -> bool:
        """Whether only the status of an answer is checked, not its content."""
        return self._operation is not None

    def on(self, call: Call, random: Random) -> Call:
        """The call as it is to be sent this time, with a note of how."""
        request, note = call.request, dict(call.note or {})
        if self._user_agents is not None:
            note[USER_AGENT] = random.choice(self._user_agents)
            request = request.with_headers(merged(request.headers, {"User-Agent": note[USER_AGENT]}))
        if self._evades is not None:
            note[EVADES] = random.choice(self._evades)
            request = _evading(request, note[EVADES], random, is_named=self._user_agents is not None)
        return Call(self._operation or call.operation, request, call.name, call.sent, note, call.finds)


def _evading(request: Request, way: str, random: Random, *, is_named: bool) -> Request:
    """`is_named`: keep its User-Agent as it is."""
    changed: dict[str, Any] = vars(request).copy()
    if way == "connection":
        # The next connection has another port, so a limiter that counts by address and port sees a new client.
        changed["headers"] = merged(request.headers, {"Connection": "close"})
    elif way == "headers":
        stranger = f"203.0.113.{random.randrange(1, 255)}"
        own = dict.fromkeys(NAMES_A_STRANGER, stranger) | {"Forwarded": f"for={stranger}"}
        if not is_named:
            own["User-Agent"] = f"Mozilla/5.0 (X11; Linux x86_64) {random.getrandbits(32):x}"
        changed["headers"] = merged(request.headers, own)
    elif way == "method" and request.method == "GET":
        changed["method"] = "HEAD"
    else:
        changed["path"] = random.choice(_SPELLINGS)(request.path, random)
    return Request(**changed)


def _with_query(path: str, random: Random) -> str:
    return f"{path}{'&' if '?' in path else '?'}_={random.getrandbits(32):x}"


def _with_encoded_letter(path: str, random: Random) -> str:
    """An equivalent path. Source: RFC 3986, section 2.3."""
    bare = path.partition("?")[0]
    letters = [at for at, letter in enumerate(bare) if letter.isalpha() and "%" not in bare[max(at - 2, 0) : at]]
    if not letters:
        return _with_query(path, random)
    at = random.choice(letters)
    return f"{path[:at]}%{ord(path[at]):02x}{path[at + 1 :]}"


def _in_capitals(path: str, _: Random) -> str:
    return path.upper()


def _with_dots(path: str, random: Random) -> str:
    return f"{random.choice(('/.', '/%2e', '/x/..'))}{path}"


def _with_slashes(path: str, random: Random) -> str:
    bare, mark, query = path.partition("?")
    first, slash, rest = bare.rpartition("/")
    return random.choice((f"{bare}/{mark}{query}", f"{first}{slash}{slash}{rest}{mark}{query}"))


_SPELLINGS: Final = (
    *(_with_query, _with_query, _with_query),
    *(_with_encoded_letter, _with_encoded_letter),
    *(_in_capitals, _with_dots, _with_slashes),
)
"""Most targets take only the first two kinds for the same path."""
