"""The process that inspects locustfiles: those written for loadproof in a directory, or a single plain one.

Prints what Locust finds in each file as a line of JSON. The arguments are the directory or file, and a JSON array with
the arguments of `CommonOptions`.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import sys
import traceback
from dataclasses import asdict, replace
from functools import partial, partialmethod
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction, isgeneratorfunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import locust
from locust import User
from locust.contrib.fasthttp import FastHttpUser
from locust.user.task import is_markov_taskset
from locust.util.load_locustfile import load_locustfile

from loadproof.generator.guards.hostguard import HostGuard
from loadproof.generator.guards.leftovers import end_children
from loadproof.generator.guards.maskedoutput import mask_outputs
from loadproof.generator.inspection.cast import Locustfile, Role
from loadproof.generator.inspection.plainlocustfile import CHOOSES, CommonOptions, client_requests, stages_of, startable
from loadproof.httpuser.user import HttpUser
from loadproof.users.user import ApiUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.generator.inspection.cast import Client

_NAMING: Final = ("call", "pay", "read_balance", "read_payment")
"""Methods of Api that take a request's name."""
_CALLED_BY_LOCUST: Final = ("on_start", "on_stop")
"""In addition to tasks."""
_UNRUN: Final = {
    "coroutine": iscoroutinefunction,
    "generator": isgeneratorfunction,
    "asynchronous generator": isasyncgenfunction,
}
"""Functions whose call creates something without running the body."""
_CLIENTS: Final[dict[type[User], Client]] = {
    HttpUser: "loadproof's HttpUser",
    locust.HttpUser: "HttpUser",
    FastHttpUser: "FastHttpUser",
}
"""The first base class that matches a user decides."""


def cast(path: Path, options: CommonOptions) -> Iterator[Locustfile]:
    """Everything that Locust would load, one file at a time, so that an error in one file doesn't affect the others."""
    for file in [path] if path.is_file() else sorted(path.glob("[!_]*.py")):
        try:
            # What a file prints when imported is not part of the output.
            with contextlib.redirect_stdout(sys.stderr):
                users, shapes = load_locustfile(str(file))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported
            yield Locustfile(file.stem, error=traceback.format_exception_only(error)[-1].strip())
            continue
        if path.is_file():
            yield _plain_locustfile(file, users, shapes, options)
        else:
            # An imported class belongs to the other file, unless its endpoint is this file's.
            own = (user for user in users.values() if file.stem in {user.__module__, getattr(user, "endpoint", None)})
            names = _request_names(file)
            yield Locustfile(
                file.stem,
                has_shape=bool(shapes),
                requests=_known(names),
                feeders=_known(_feeder_names(file)),
                has_other_requests=None in names,
                roles=[_role(user) for user in own],
            )


def _plain_locustfile(file: Path, users: dict[str, Any], shapes: list[Any], options: CommonOptions) -> Locustfile:
    """A plain locustfile, which runs all its user classes."""
    users = startable(users)
    stages, shape_error = stages_of(shapes, users.values(), options)
    names = client_requests(file)
    return Locustfile(
        file.stem,
        has_shape=bool(shapes),
        stages=stages,
        shape_error=shape_error,
        shape_chooses=shape_error.startswith(CHOOSES),
        shape_takes_options=options.are_read or any(shape.use_common_options for shape in shapes),
        requests=_known(names),
        # Imported modules may send requests, too.
        has_other_requests=None in names or any(user.__module__ != file.stem for user in users.values()),
        roles=[_role(user) for user in users.values()],
    )


def _known(names: list[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name is not None))


def _calls_in(file: Path, method: str, *, with_set_up: bool = False) -> list[ast.Call]:
    """Each call `….method(…)`, in the order of the file; those in `on_start` and `on_stop` only `with_set_up`."""
    tree = ast.parse(file.read_bytes())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    set_up = {inner for node in functions if node.name in _CALLED_BY_LOCUST for inner in ast.walk(node)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and (with_set_up or node not in set_up)]
    own = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == method]
    return sorted(own, key=lambda call: (call.lineno, call.col_offset))


def _text(value: ast.expr) -> str | None:
    """The value of a string literal; None for any other expression."""
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _request_names(file: Path) -> list[str | None]:
    calls = [call for method in _NAMING for call in _calls_in(file, method)]
    return [_text(word.value) for call in calls for word in call.keywords if word.arg == "name"]


def _feeder_names(file: Path) -> list[str | None]:
    return [_text(value) for call in _calls_in(file, "feed", with_set_up=True) for value in call.args[:1]]


def _role(user: type[User]) -> Role:
    is_ours = issubclass(user, ApiUser)
    return Role(
        name=user.__name__,
        is_api_user=is_ours,
        endpoint=getattr(user, "endpoint", None),
        has_tasks=bool(user.tasks),
        has_task_sets=not all(isfunction(task) for task in user.tasks),
        has_wait_time=is_ours and user.wait_time is not ApiUser.wait_time,
        client=_client_of(user),
        host=user.host or "",
        tags=_tags(user),
        fixed_count=user.fixed_count,
        replaced_loops=list(dict.fromkeys(_replaced_loops(user))),
        never_run=_never_run(user),
    )


def _replaced_loops(holder: Any, *within: Any) -> Iterator[str]:
    """Methods of the class and its task sets that replace Locust's loops without calling them."""
    for name in ("run", "execute_next_task"):
        method = getattr(holder, name, None)
        is_locusts = getattr(method, "__module__", "").partition(".")[0] in {"locust", "loadproof"}
        if method and not is_locusts and name not in getattr(getattr(method, "__code__", None), "co_names", ()):
            yield f"{holder.__name__}.{name}"
    for task in holder.tasks:
        if hasattr(task, "tasks") and task not in (holder, *within):
            yield from _replaced_loops(task, holder, *within)


def _tags(holder: Any, *within: Any) -> list[list[str] | None]:
    """The tags of each task, nested ones included. Source: locust/user/task.py 2.47, filter_tasks_by_tags."""
    if is_markov_taskset(holder):
        return [None]
    tags: list[list[str] | None] = []
    for task in dict.fromkeys(holder.tasks):
        if hasattr(task, "tasks"):
            tags += [] if task in (holder, *within) else _tags(task, holder, *within)
        else:
            tags.append(sorted(getattr(task, "locust_tag_set", ())))
    return tags


def _client_of(user: type[User]) -> Client:
    if issubclass(user, FastHttpUser) and user.client_pool is not None:
        return "a client_pool of its own"
    return next((name for base, name in _CLIENTS.items() if issubclass(user, base)), "a client of its own")


def _never_run(user: type[User]) -> dict[str, str]:
    """Names of methods that Locust would call, and what the call would return instead of running the body."""
    called = [(getattr(task, "__name__", repr(task)), task) for task in user.tasks]
    called += [(name, getattr(user, name)) for name in _CALLED_BY_LOCUST]
    return {name: kind for name, method in called if (kind := _made_by(method))}


def _made_by(method: Any) -> str | None:
    """What a call of the method creates without running it, also inside a partial; other wrappers may run it."""
    while method is not None:
        for kind, makes in _UNRUN.items():
            if makes(method):
                return kind
        method = method.func if isinstance(method, partial | partialmethod) else None
    return None


def _stay(process: int) -> None:
    """Turn `os._exit` into `sys.exit` in this process, but not in its forks, so that a file can't end it silently."""
    leave = os._exit

    def stay(status: int) -> NoReturn:
        if os.getpid() == process:
            sys.exit(f"os._exit({status})")
        leave(status)

    os._exit = stay


if __name__ == "__main__":
    output, mask = sys.stdout, mask_outputs()
    HostGuard().install()
    _stay(os.getpid())
    for locustfile in cast(Path(sys.argv[1]), CommonOptions(*json.loads(sys.argv[2]))):
        # Only the message: masking a value such as `true` elsewhere would break the JSON.
        masked = replace(locustfile, error=mask(locustfile.error))
        output.write(json.dumps(asdict(masked)) + "\n")
    end_children()
