"""Describes what a run was made with: the revision of the source, relevant versions, the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from loadproof import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

_PACKAGES: Final = ("locust", "gevent", "httptools", "numpy", "fastapi", "uvicorn", "limits")
_ROOT: Final = Path(__file__).resolve().parents[2]
_PROCESSORS: Final = Path("/proc/cpuinfo")


def revision() -> str:
    """The git commit of this source, marked if files differ from it; 'unknown' outside git."""
    # An installation inside another project's repository isn't tracked there.
    commit = _git("rev-parse", "--short=12", "HEAD") if _git("ls-files", "__init__.py") else ""
    if not commit:
        return "unknown"
    return f"{commit} (modified)" if _git("status", "--porcelain", "--untracked-files=no") else commit


def _git(*arguments: str) -> str:
    try:
        process = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return process.stdout.strip()


def versions() -> dict[str, str]:
    """Versions of loadproof, Python and the installed packages that affect a measurement."""
    installed = {"loadproof": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        # A process that only generates load or only judges may lack the target's packages.
        with suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    return installed


def users_code(locustfiles: Path, kinds: Iterable[str]) -> str:
    """A hash of twelve hex digits over the files of these kinds of users; other modules they import don't count.

    `locustfiles` is a directory with a file for each kind and shared files (`_*.py`), or a single locustfile.
    """
    shared = sorted(locustfiles.glob("_*.py"))
    files = (
        [locustfiles] if locustfiles.is_file() else [*(locustfiles / f"{kind}.py" for kind in sorted(kinds)), *shared]
    )
    digest = hashlib.sha256()
    for file in files:
        # An unreadable file is reported where it is loaded.
        with suppress(OSError):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def host() -> dict[str, str]:
    """Facts about this machine, without its host name: a report may be passed on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _processor(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(cores),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
    }


def machine() -> str:
    """The machine that results are valid for: the processor, if the system names it, and how many cores we may use."""
    facts = host()
    return f"{facts['cpu']}, {facts['cores']} cores"


def _processor() -> str:
    """The processor's model, if the system names it."""
    with suppress(OSError):
        for line in _PROCESSORS.read_text(encoding="utf-8").splitlines():
            name, _, model = line.partition(":")
            if name.strip() == "model name":
                return model.strip()
    return platform.machine()
