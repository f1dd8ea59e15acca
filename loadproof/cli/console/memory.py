"""Reports a lack of memory: before anything starts if it is certain, by name if it happens later."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final

from loadproof.errors import InputError, InvalidRunError, LoadproofError, OutputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

_LEAST_MIB: Final = 512
"""The least address space. Imports and reports need 450 MiB on two cores; with 300, imports may never finish."""
_MIB: Final = 2**20
_REMEDY: Final = "raise the limit (`ulimit -v`, the container's limit)"
_TOLD_IN_WORDS: Final = ("can't start new thread", "failed to map segment", "cannot allocate memory")
"""Messages of threads, the library loader and the system when memory runs out."""


def check_memory() -> None:
    """InputError if this process's limit is certainly too low; this module and its imports are small."""
    if sys.platform == "win32":
        return
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft < _LEAST_MIB * _MIB:
        what = f"this process has too little address space: it needs {_LEAST_MIB} MiB"
        raise InputError(Problem("memory", what, _REMEDY, got=f"{soft // _MIB} MiB"))


def is_want_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | ImportError) and any(
        words in str(error).lower() for words in _TOLD_IN_WORDS
    )


def out_of_memory(
    error: BaseException, run_directory: Path | None = None, *, has_measured: bool = False
) -> LoadproofError:
    """The error to report: the run is INVALID if something was measured, else nothing was measured."""
    where = "memory" if run_directory is None else str(run_directory)
    problem = Problem(where, "this process ran out of memory", _REMEDY, got=str(error) or type(error).__name__)
    return InvalidRunError(problem) if has_measured else OutputError(problem)
