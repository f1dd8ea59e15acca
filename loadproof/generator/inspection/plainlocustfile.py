"""What can be known about a plain locustfile before it runs: request names, and its shape as phases."""

from __future__ import annotations

import ast
import math
import re
import time
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from loadproof.scenario.traffic.writtenname import written_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete", "head", "options"})
_PLAIN_PATH: Final = re.compile(r"(?:/(?![/.])[\w~!$&'()*+,;=:@?.-]*)+", re.ASCII)
"""A path that both of Locust's clients use as the name; they name whole URLs, and paths to escape, differently."""
_SENDING: Final = _METHODS | {"request"}
_OTHERWISE: Final = frozenset({"fire", "measure", "request_name", "rest", "rest_"})
_LONGEST_S: Final = 86_400
"""A shape that lasts longer than this is taken to be endless."""
_MOST_STAGES: Final = 200
CHOOSES: Final = "it chooses user classes itself"
"""Then the mix differs between stages, which phases don't support."""


def startable(users: Mapping[str, Any]) -> dict[str, Any]:
    """The classes that Locust starts users of. Source: locust/env.py 2.47, _remove_user_classes_with_weight_zero."""
    return {name: user for name, user in users.items() if user.weight > 0 or user.fixed_count > 0}


def client_requests(file: Path) -> list[str | None]:
    """Method and name of each request to a `….client`, as far as both are literals; None for each other request.

    Also None if requests may be sent in other ways.
    """
    nodes = [*ast.walk(ast.parse(file.read_bytes()))]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    requests = [_request(call) for call in calls if _is_of_client(call)]
    return [*requests, None] if _sends_otherwise(nodes, calls) else requests


def _sends_otherwise(nodes: list[ast.AST], calls: list[ast.Call]) -> bool:
    """Whether a client is passed on or replaced, or requests share a name, use `rest`, or are reported by an event."""
    called = {id(call.func) for call in calls}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    parts = [node for node in attributes if _is_client(node.value)]
    used = {id(part.value) for part in parts}
    is_alone = any(_is_client(node) and id(node) not in used for node in attributes)
    is_part = any(part.attr in _SENDING and id(part) not in called for part in parts)
    return is_alone or is_part or any(node.attr in _OTHERWISE for node in attributes)


def _is_client(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "client"


def _is_of_client(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and _is_client(call.func.value)


def _request(call: ast.Call) -> str | None:
    assert isinstance(call.func, ast.Attribute)  # noqa: S101 - as it was chosen
    words = {word.arg: word.value for word in call.keywords}
    name, is_url = words.get("name"), False
    if name is None and not words.keys() & {"params", None}:
        name, is_url = (call.args[0] if call.args else words.get("url")), True
    if call.func.attr not in _METHODS or not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        return None
    if is_url and not _PLAIN_PATH.fullmatch(name.value):
        return None
    return f"{call.func.attr.upper()} {written_name(name.value)}"


class CommonOptions:
    """Locust's options that a shape may read, as in a run without a web UI; `run_time` in whole seconds.

    Source: locust/main.py 2.47, start_automatic_run.
    """

    def __init__(
        self, num_users: int | None = None, spawn_rate: float | None = None, run_time: int | None = None
    ) -> None:
        self._values = {"num_users": num_users or 1, "spawn_rate": spawn_rate or 1, "run_time": run_time}
        self.are_read = False
        self.longest_s = run_time

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._values:
            raise _NoPhasesError(f"it asks for Locust's option `{name}`, which loadproof doesn't have")
        self.are_read = True
        return self._values[name]


def stages_of(
    shapes: list[Any], users: Collection[Any] = (), options: CommonOptions | None = None
) -> tuple[list[dict[str, Any]], str]:
    """The phases that a Locust shape asks for, second by second, or the reason why there are none.

    `users` are all user classes of the file.
    """
    if not shapes:
        return [], ""
    if len(shapes) > 1:
        return [], "there are several"
    try:
        return _phases(_asked_for(shapes[0], users, options or CommonOptions()))
    except _NoPhasesError as error:
        return [], str(error)
    except Exception as error:  # noqa: BLE001 - it is the user's own code
        return [], f"asked from second to second, it raises {type(error).__name__}: {error}"


class _NoPhasesError(Exception):
    """The shape can't be turned into phases; the text is the reason."""


def _asked_for(shape: Any, users: Collection[Any], options: CommonOptions) -> list[tuple[int, float]]:
    """Users and spawn rate of each second, up to `--run-time`."""
    wanted: list[tuple[int, float]] = []
    with _seconds_as_asked(shape, options) as ticks:
        for tick in ticks:
            if len(wanted) == options.longest_s:
                break
            if len(tick) > 2 and tick[2] and {*tick[2]} != {*users}:
                chosen = ", ".join(str(getattr(cls, "__name__", cls)) for cls in tick[2])
                raise _NoPhasesError(f"{CHOOSES} ({chosen} in second {len(wanted)})")
            wanted.append((round(tick[0]), float(tick[1])))
            if len(wanted) > _LONGEST_S:
                raise _NoPhasesError(f"it does not end within {_LONGEST_S // 3600} hours")
    return wanted


@contextmanager
def _seconds_as_asked(shape: Any, options: CommonOptions) -> Iterator[Iterator[Any]]:
    """The shape's ticks, each a second after the previous one by all of Python's clocks, without sleeping.

    Source: locust/runners.py 2.47, Runner.start_shape and shape_worker; locust/shape.py reads `perf_counter`.
    """
    at_s, shape.runner = 0, _NoRunner(options)

    def ticked() -> Iterator[Any]:
        nonlocal at_s
        shape.reset_time()
        while (tick := shape.tick()) is not None:
            yield tick
            at_s += 1

    with ExitStack() as patched:
        patched.enter_context(mock.patch.object(time, "sleep"))
        for name in ("time", "monotonic", "perf_counter"):
            # Whole seconds, so that differences are exact.
            began_s = math.floor(getattr(time, name)())
            patched.enter_context(mock.patch.object(time, name, lambda began_s=began_s: float(began_s + at_s)))
        yield ticked()


class _NoRunner:
    def __init__(self, options: CommonOptions) -> None:
        self.environment = SimpleNamespace(parsed_options=options)

    def __getattr__(self, name: str) -> Any:
        raise _NoPhasesError(f"it asks Locust's runner for `{name}`, which is known during a run only")


def _phases(ticks: list[tuple[int, float]]) -> tuple[list[dict[str, Any]], str]:
    """Phases with the requested numbers of users, each for as long as requested, ramped at the requested rate."""
    phases: list[dict[str, Any]] = []
    reached = 0
    while ticks:
        wanted, rate = ticks[0]
        length_s = next((place for place, tick in enumerate(ticks) if tick[0] != wanted), len(ticks))
        del ticks[:length_s]
        takes_s = math.ceil(abs(wanted - reached) / rate) if rate > 0 else 0
        if takes_s > length_s:
            wanted = reached + round((wanted - reached) * length_s / takes_s)
        if wanted < 1:
            return [], "it asks for no users at times"
        phase = {"name": f"stage-{len(phases) + 1}", "duration": f"{length_s} s", "users": wanted}
        # Within a second, Locust starts them all at once.
        if takes_s > 1 and wanted != reached:
            phase["ramp"] = f"{min(takes_s, length_s)} s"
        phases.append(phase)
        reached = wanted
    if not phases or len(phases) > _MOST_STAGES:
        return [], f"it has {len(phases)} stages; a scenario has 1 to {_MOST_STAGES} phases"
    return phases, ""
