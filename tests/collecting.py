"""A pytest plugin: what each of several processes pays before its first test, paid once or not at all.

Processes side by side would each rewrite the assertions of all tests in a fresh checkout, nearly half of their CPU time
before the first test. Each rewrites its share and leaves it where pytest looks for it; what isn't there in time is
rewritten as ever.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from _pytest.assertion.rewrite import (  # of pytest 9.2: nothing public writes these files
    PYC_TAIL,
    _rewrite_test,
    _write_pyc,
    assertstate_key,
    get_cache_dir,
    try_makedirs,
)

if TYPE_CHECKING:
    import pytest

# No object of all those that collecting creates is garbage: to look for it is more than a fourth of the time.
gc.disable()


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    # What xdist tells its processes; the one that a user starts has none.
    if told := getattr(config, "workerinput", None):
        number = int(told["workerid"].removeprefix("gw"))
        for path in sorted(config.rootpath.glob("tests/**/test_*.py"))[number :: told["workercount"]]:
            rewritten = get_cache_dir(path) / f"{path.stem}{PYC_TAIL}"
            if not rewritten.exists() and try_makedirs(rewritten.parent):
                source_hash, code = _rewrite_test(path, config)
                _write_pyc(config.stash[assertstate_key], code, source_hash, rewritten)


def pytest_collection_finish() -> None:
    """Tests create garbage, which is looked for among their objects only."""
    gc.collect()
    gc.freeze()
    gc.enable()
