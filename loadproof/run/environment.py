"""What a run was made with: the source's revision, the versions that matter, the machine."""

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
_ROOT: Final = Path(__file__).resolve().parent.parent
_PROCESSORS: Final = Path("/proc/cpuinfo")


def revision() -> str:
    """The git commit of this source, marked if files differ from it; 'unknown' outside of git."""
    # If installed below somebody else's repository, it is not one of its files.
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
    """Versions of loadproof, Python and whatever matters to a measurement, as far as it is installed."""
    installed = {"loadproof": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        # A process that only generates load or only judges may lack the target's packages.
        with suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    return installed


def users_code(locustfiles: Path, kinds: Iterable[str]) -> str:
    """Twelve digits that are others if these kinds of users have other files; those that only they import don't count.

    `locustfiles` is a directory with a file for each kind, beside what they share (`_*.py`), or the one file of all.
    """
    shared = sorted(locustfiles.glob("_*.py"))
    files = (
        [locustfiles] if locustfiles.is_file() else [*(locustfiles / f"{kind}.py" for kind in sorted(kinds)), *shared]
    )
    digest = hashlib.sha256()
    for file in files:
        # Whether it can be read is told where it is loaded.
        with suppress(OSError):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def host() -> dict[str, str]:
    """Without the host name: a report may be passed on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _processor(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(cores),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
    }


def machine() -> str:
    """What a result holds for: the processor, as far as the system tells, and how many cores of it we may use."""
    facts = host()
    return f"{facts['cpu']}, {facts['cores']} cores"


def _processor() -> str:
    """Its model, as far as the system tells."""
    with suppress(OSError):
        for line in _PROCESSORS.read_text(encoding="utf-8").splitlines():
            name, _, model = line.partition(":")
            if name.strip() == "model name":
                return model.strip()
    return platform.machine()
