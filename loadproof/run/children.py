"""Child processes that always end: the embedded target, and stopping politely, then firmly."""

from __future__ import annotations

import os
import site
import ssl
import subprocess
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import loadproof
from loadproof import variables
from loadproof.errors import OutputError, Problem
from loadproof.run.locustsettings import without_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_STOP_TIMEOUT_S: Final = 10.0
_ROOT: Final = Path(loadproof.__file__).resolve().parents[1]
"""Where our packages stand."""
_MODULES: Final = "PYTHONPATH"
_CERTIFICATES: Final = ssl.get_default_verify_paths()
_PATHS: Final = (_CERTIFICATES.openssl_cafile_env, _CERTIFICATES.openssl_capath_env)
"""Variables that hold a path, and that a child reads."""


def share_cores(workers: int = 1) -> tuple[set[int], set[int]]:
    """Cores for the generator's processes and for the target: different ones, where there are two."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    cores = sorted(os.sched_getaffinity(0))
    ours = max(1, min(workers, len(cores) - 1))
    return set(cores[:ours]), set(cores[ours:]) or set(cores)


def python(module: str, *arguments: str) -> list[str]:
    """The command of one of our children: a module that Python takes from where it is, not from where we are."""
    return [sys.executable, "-P", "-m", module, *arguments]


@contextmanager
def empty_directory() -> Iterator[Path]:
    """Where a child can work that has no run directory: whatever puts it on the path for modules finds none there."""
    with tempfile.TemporaryDirectory(prefix="loadproof-") as path:
        yield Path(path)


def start(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    cores: set[int],
    log: Path | None,
    pipe_output: bool = False,
    pass_fds: Sequence[int] = (),
    without: Collection[str] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that a Ctrl-C in the terminal reaches us alone.

    It works in `directory`, for Locust looks for modules there first, and ours may hold a package of our name. It
    inherits our environment, but for the variables in `without`. What it prints goes to `log`, or to where we print.
    """
    with nullcontext() if log is None else _opened(log) as log_file:
        child = subprocess.Popen(
            command,
            cwd=directory,
            env={name: value for name, value in inherited().items() if name not in without} | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe_output else log_file,
            stderr=log_file,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    if cores:
        os.sched_setaffinity(child.pid, cores)
    return child


def _opened(log: Path) -> IO[bytes]:
    try:
        return log.open("ab")
    except OSError as error:
        what = f"can't be written: {error.strerror or error}"
        raise OutputError(Problem(str(log), what, "free space there or choose another --out")) from None


def environment_with(changes: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with changes; the secret of master and workers only where it is one of them."""
    own = {name: value for name, value in inherited().items() if name not in {variables.SECRET, variables.SECRET_FILE}}
    return {**own, **changes}


def inherited() -> dict[str, str]:
    """Our environment for a child that works elsewhere: paths in it mean there what they mean here.

    Secrets of ours alone and Locust's own settings stay here. It imports the very code that this process runs, wherever
    that was found.
    """
    absolute = {name: str(Path(os.environ[name]).absolute()) for name in _PATHS if os.environ.get(name)}
    places = [str(Path(place).absolute()) for place in os.environ.get(_MODULES, "").split(os.pathsep) if place]
    if _ROOT not in {*map(Path, places), *map(Path, site.getsitepackages())}:
        places.insert(0, str(_ROOT))
    own = {name: value for name, value in without_settings(os.environ).items() if name not in variables.FOR_NO_CHILD}
    return {**own, **absolute, **({_MODULES: os.pathsep.join(places)} if places else {})}


def with_modules_in(directory: Path) -> dict[str, str]:
    """What makes a child find modules there, too, ahead of those of the same name elsewhere."""
    return {_MODULES: os.pathsep.join(filter(None, [str(directory), inherited().get(_MODULES)]))}


def stop(child: subprocess.Popen[bytes], timeout_s: float = _STOP_TIMEOUT_S) -> None:
    """SIGTERM, and SIGKILL when that did not end it in time."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()
