"""Groups of files to mutate, and the tests that must notice: quick in-process ones from the matching folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

ENOUGH: Final = 0.85
"""The share of the mutants in each group that tests must notice."""
QUICK: Final = "not process and not browser and not long and not quiet"
_WHOLE_RUNS: Final = (
    "tests/statistics/test_schedules.py::test_seeds_that_once_found_a_bug_pass",
    "tests/statistics/test_schedules.py::test_a_seed_is_reproducible",
)
"""Tests of whole runs in simulated time."""


class Group(NamedTuple):
    """Files to mutate, and their tests."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    confirms: bool
    """Whether a test must fail twice to count: tests with sockets and waits may fail by chance on a busy machine."""

    @property
    def paths(self) -> list[Path]:
        return sorted(path for pattern in self.files for path in Path().glob(pattern) if path.name != "__init__.py")


GROUPS: Final = {
    "judge": Group(("loadproof/analysis/judge/*.py",), ("tests/analysis/judge",), confirms=False),
    "outcomes": Group(
        (
            "loadproof/outcome.py",
            *(
                f"loadproof/http/{name}.py"
                for name in ("answers", "bodies", "chunked", "connection", "head", "messages")
            ),
        ),
        ("tests/loadproof/test_outcome.py", "tests/loadproof/http"),
        confirms=True,
    ),
    "users": Group(("loadproof/users/*.py",), ("tests/loadproof/users", *_WHOLE_RUNS), confirms=True),
    "crew": Group(
        (
            *(f"loadproof/generator/crew/{name}.py" for name in ("allotment", "crew", "measuring", "messages")),
            "loadproof/run/watching/course.py",
            "loadproof/run/watching/listener.py",
        ),
        (
            "tests/loadproof/generator",
            "tests/loadproof/recording",
            "tests/loadproof/run/watching/test_course.py",
            *_WHOLE_RUNS,
        ),
        confirms=True,
    ),
}
