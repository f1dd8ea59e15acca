"""Child processes that always end: they are asked to stop first, then killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import site
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import loadproof
from loadproof import variables
from loadproof.errors import OutputError, Problem
from loadproof.generator.guards.leftovers import ending_leftovers
from loadproof.run.processes.locustsettings import without_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_STOP_TIMEOUT_S: Final = 10.0
_EMPTY: Final = "loadproof-empty-"
_NEW_S: Final = 60.0
_ROOT: Final = Path(loadproof.__file__).resolve().parents[1]
"""The directory that contains our packages."""
_MODULES: Final = "PYTHONPATH"
_CERTIFICATES: Final = ssl.get_default_verify_paths()
_PATHS: Final = (_CERTIFICATES.openssl_cafile_env, _CERTIFICATES.openssl_capath_env)
"""Variables with a path that a child reads."""


def share_cores(workers: int = 1) -> tuple[set[int], set[int]]:
    """Cores for the generator's processes and for the target: different ones if there are at least two."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    cores = sorted(os.sched_getaffinity(0))
    ours = max(1, min(workers, len(cores) - 1))
    return set(cores[:ours]), set(cores[ours:]) or set(cores)


def python(module: str, *arguments: str) -> list[str]:
    """The command for one of our own modules as a child; Python doesn't look for it in the working directory."""
    return [sys.executable, "-P", "-m", module, *arguments]


@contextmanager
def empty_directory() -> Iterator[Path]:
    """An empty working directory for a child without a run directory, so that no modules can be imported from it.

    A directory whose owner was killed is removed by the next call.
    """
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_EMPTY) as path, _opened_directory(Path(path)) as directory:
        _hold(directory)
        yield Path(path)


def _remove_abandoned(place: Path) -> None:
    """Remove directories whose owner is gone, but not new ones, which may not be locked yet."""
    made_before_s = time.time() - _NEW_S
    for path in place.glob(f"{_EMPTY}*"):
        with suppress(OSError), _opened_directory(path) as directory:
            status = os.fstat(directory)
            if status.st_uid == os.geteuid() and status.st_mtime < made_before_s and _hold(directory):
                shutil.rmtree(path)


@contextmanager
def _opened_directory(path: Path) -> Iterator[int]:
    """The directory's descriptor; OSError if the path is no directory, or a link to one."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield directory
    finally:
        os.close(directory)


def _hold(directory: int) -> bool:
    """Lock the directory until it is closed or we are killed, visibly to every container; False if it is locked."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


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
    """Start a child in its own session, so that Ctrl-C in the terminal only reaches us.

    It works in `directory`, because Locust looks for modules there first, and our own working directory may contain a
    package with our name. It inherits our environment, except the variables in `without`. Its output goes to `log`, or
    to our own output.
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


def run_to_end(
    command: Sequence[str], *, directory: Path, environment: Mapping[str, str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a child with this text as input, in exactly this environment; processes it leaves behind are ended.

    They aren't waited for: they could keep a pipe open for ever.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, ending_leftovers() as mark:
        process = subprocess.run(
            command,
            cwd=directory,
            env={**environment, **mark},
            input=text.encode(),
            stdout=output,
            stderr=errors,
            check=False,
        )
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return subprocess.CompletedProcess(command, process.returncode, *texts)


def _opened(log: Path) -> IO[bytes]:
    try:
        return log.open("ab")
    except OSError as error:
        what = f"can't be written: {error.strerror or error}"
        raise OutputError(Problem(str(log), what, "free space there or choose another --out")) from None


def environment_with(changes: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with changes; the secret of master and workers is only in it if `changes` has it."""
    own = {name: value for name, value in inherited().items() if name not in {variables.SECRET, variables.SECRET_FILE}}
    return {**own, **changes}


def inherited() -> dict[str, str]:
    """Our environment for a child with another working directory: its paths still mean the same.

    Our own secrets and Locust's settings are left out. The child imports the same code as this process, wherever that
    was found.
    """
    absolute = {name: str(Path(os.environ[name]).absolute()) for name in _PATHS if os.environ.get(name)}
    places = [str(Path(place).absolute()) for place in os.environ.get(_MODULES, "").split(os.pathsep) if place]
    if _ROOT not in {*map(Path, places), *map(Path, site.getsitepackages())}:
        places.insert(0, str(_ROOT))
    own = {name: value for name, value in without_settings(os.environ).items() if name not in variables.FOR_NO_CHILD}
    return {**own, **absolute, **({_MODULES: os.pathsep.join(places)} if places else {})}


def with_modules_in(directory: Path) -> dict[str, str]:
    """Variables that put this directory on a child's module path, ahead of modules of the same name elsewhere."""
    return {_MODULES: os.pathsep.join(filter(None, [str(directory), inherited().get(_MODULES)]))}


def stop(child: subprocess.Popen[bytes], timeout_s: float = _STOP_TIMEOUT_S) -> None:
    """Send SIGTERM, then SIGKILL if the child has not ended in time."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()
