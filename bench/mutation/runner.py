"""Runs tests on mutants to see which they notice, each in its own process, forked once everything is loaded.

It is a pytest plugin that replaces the loop over tests. The first fork learns which lines each test runs and how long
it takes; each mutant then meets only the tests that run its lines, the quickest first, until one fails.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import itertools
import math
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import coverage
import gevent
from _pytest.runner import runtestprotocol
from gevent import monkey

from bench.mutation.mutants import Mutant, mutants_of
from bench.mutation.planting import is_function, lines_of, plant

if TYPE_CHECKING:
    import pytest

_fork, _waitpid = monkey.get_original("os", ["fork", "waitpid"])
_sleep = monkey.get_original("time", "sleep")
_PROCESSES: Final = 2
_BUDGET_S: Final = 10.0
"""CPU time for a mutant's tests; if none of them notices the mutant in that time, it survives."""
_TIMES_SLOWER: Final = 10
"""A test this much slower counts as an endless loop; in CPU time, because the machine may be busy."""
_LEAST_S: Final = 2.0
_HUNG_S: Final = 10.0
"""A process that sleeps this long hangs; waiting for a core doesn't count as sleep."""
_LOOK_S: Final = 0.02
_MOST: Final = 0.9
"""Share of the tests that must pass without a fault."""
_MEMORY_BYTES: Final = 4 << 30
_NOT_PLANTED, _ODD = 255, 254


class Fate(NamedTuple):
    """The fate of one mutant."""

    path: str
    within: str
    line: int
    told: str
    killed_by: str
    """A test's id, or 'time' if one hung, 'import' if the constant can't be evaluated, 'no test' if none runs the line.

    '' if the mutant survived, 'crash' if running the tests failed.
    """


class _Job(NamedTuple):
    fate: Fate
    tests: list[str]
    path: Path
    tree: ast.Module
    mutant: Mutant
    suspect: str | None = None
    """A test that failed once and must fail again to count."""


class MutationRun:
    """A plugin: `pytest.main(arguments, plugins=[MutationRun(paths, …)])`, then `fates`."""

    def __init__(
        self, paths: Sequence[Path], *, only: set[Any] | None, confirms: bool, seed: int, lasts_s: float
    ) -> None:
        """`only` selects mutants by path, function, line and text; with `confirms`, a failure counts if it repeats."""
        self.fates: list[Fate] = []
        self.planned: Counter[str] = Counter()
        self._paths, self._only, self._confirms, self._seed, self._lasts_s = paths, only, confirms, seed, lasts_s
        self._running: dict[int, _Job] = {}
        self._seen_at_work: dict[int, tuple[float, float]] = {}
        """By process: when it was last seen running or waiting for a core, and how long it had done so by then."""
        self._killers: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        gc.freeze()
        self._items = {item.nodeid: item for item in session.items}
        self._cost_s, self._tests, modules = _in_child(lambda: (*_learn(session.items, self._paths), [*sys.modules]))
        for module in modules:
            # Modules that tests import only when they run would otherwise be imported again for each mutant.
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        for job in self._jobs():
            while len(self._running) >= _PROCESSES:
                self._reap()
            if job.tests:
                self._start(job)
            else:
                self._note(job, "no test")
        while self._running:
            self._reap()
        return True

    def _jobs(self) -> Iterator[_Job]:
        """Jobs in random order, so that those for which there is time are a fair sample."""
        trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in self._paths}
        planned = [(path, mutant) for path, tree in trees.items() for mutant in mutants_of(tree)]
        self.planned = Counter(str(path) for path, _ in planned)
        spans: dict[tuple[Path, str], range] = {}
        for path, mutant in planned:
            span = spans.get((path, mutant.within), mutant.lines)
            spans[path, mutant.within] = range(min(span.start, mutant.lines.start), max(span.stop, mutant.lines.stop))
        random.Random(self._seed).shuffle(planned)
        until_s = time.monotonic() + self._lasts_s
        for path, mutant in planned:
            fate = Fate(str(path), mutant.within, mutant.lines.start, mutant.told, "")
            if time.monotonic() > until_s:
                return
            if self._only is None or fate[:4] in self._only:
                span = spans[path, mutant.within]
                tests = self._chosen(self._tests[str(path)], lines_of(trees[path], mutant), span, mutant.within)
                yield _Job(fate, tests, path, trees[path], mutant)

    def _chosen(self, by_line: dict[int, list[str]], lines: set[int], span: range, name: str) -> list[str]:
        """Tests, within the budget: first those that noticed faults in the function, then one per path through it."""
        noticed, ways, turns = self._killers[name], defaultdict(set), Counter[frozenset[int]]()
        for line in span:
            for test in by_line.get(line, ()):
                ways[test].add(line)
        turn: dict[str, int] = {}
        tests = {test for line in lines for test in by_line.get(line, ())}
        for test in sorted(tests, key=lambda test: (self._cost_s[test], test)):
            way = frozenset(ways[test])
            turn[test], turns[way] = turns[way], turns[way] + 1
        ordered = sorted(tests, key=lambda test: (-noticed[test], turn[test], self._cost_s[test]))
        sums = itertools.accumulate(self._cost_s[test] for test in ordered)
        return [test for test, spent_s in zip(ordered, sums, strict=True) if spent_s <= _BUDGET_S] or ordered[:1]

    def _start(self, job: _Job) -> None:
        """Fork a process whose exit code is 0 if all tests pass, else the number of the first that fails."""
        was = job.mutant.node
        job.mutant.put(job.mutant.fault)
        pid: int = _fork()
        if not pid:
            code = _NOT_PLANTED
            try:
                _settle()
                plant(job.path, job.tree, job.mutant)
                code = _ODD
                code = self._first_failing([self._items[test] for test in job.tests])
            finally:
                os._exit(code)
        self._running[pid] = job
        job.mutant.put(was)

    def _first_failing(self, items: list[pytest.Item]) -> int:
        for number, (item, following) in enumerate(itertools.zip_longest(items, items[1:]), 1):
            _limit(_TIMES_SLOWER * self._cost_s[item.nodeid] + _LEAST_S)
            if not _passes(item, following):
                return min(number, _ODD - 1)
        return 0

    def _reap(self) -> None:
        pid, status = _waitpid(-1, os.WNOHANG)
        if pid == 0:
            self._end_the_hung()
            return
        job = self._running.pop(pid)
        self._seen_at_work.pop(pid, None)
        code = os.waitstatus_to_exitcode(status)
        if code == _NOT_PLANTED and is_function(job.tree, job.mutant.within):
            # The code can't be replaced: without its `super()`, for example, it is a different kind of function.
            return
        if code <= 0 or code >= _ODD:
            self._note(job, {0: "", _NOT_PLANTED: "import", _ODD: "crash"}.get(code, "time"))
            return
        killer = job.tests[code - 1]
        if not self._confirms or job.suspect == killer:
            self._note(job, killer)
        elif job.suspect is None:
            self._start(job._replace(tests=[killer, *(test for test in job.tests if test != killer)], suspect=killer))
        else:
            # The suspect failed by chance; another test that failed must fail twice, too.
            self._start(job._replace(tests=[test for test in job.tests if test != job.suspect], suspect=None))

    def _end_the_hung(self) -> None:
        """Kill processes that have neither run nor waited for a core for too long."""
        _sleep(_LOOK_S)
        for pid in self._running:
            since_s, then_s = self._seen_at_work.get(pid, (-_HUNG_S, -_HUNG_S))
            at_work_s, now_s = _at_work_s(pid), time.monotonic()
            if at_work_s - then_s > _LOOK_S:
                self._seen_at_work[pid] = now_s, at_work_s
            elif now_s - since_s > _HUNG_S:
                os.kill(pid, signal.SIGKILL)

    def _note(self, job: _Job, killer: str) -> None:
        fate = job.fate._replace(killed_by=killer)
        self._killers[fate.within][killer] += killer in self._items
        self.fates.append(fate)
        if killer in {"", "no test", "crash"}:
            sys.stderr.write(f"{fate.path}:{fate.line} {fate.within}: {fate.told} ({killer or 'survived'})\n")


def _learn(
    items: Sequence[pytest.Item], paths: Sequence[Path]
) -> tuple[dict[str, float], dict[str, dict[int, list[str]]]]:
    """The cost of each test in seconds, and the tests that run each line of each file."""
    files = [str(path.resolve()) for path in paths]
    tracer = coverage.Coverage(data_file=None, config_file=False, include=files, concurrency=["thread", "greenlet"])
    cost_s = {}
    tracer.start()
    for item, following in itertools.zip_longest(items, items[1:]):
        tracer.switch_context(item.nodeid)
        began_s, began_cpu_s, at_work_s = time.monotonic(), time.process_time(), _at_work_s(os.getpid())
        if not _passes(item, following):
            # It may fail by chance on a busy machine; a test that always fails is a matter for `make test`.
            sys.stderr.write(f"left out, for it fails without any fault: {item.nodeid}\n")
            continue
        # Sleep costs less than CPU time, because other processes can run; waiting for a core doesn't count as sleep.
        asleep_s = time.monotonic() - began_s - (_at_work_s(os.getpid()) - at_work_s)
        cost_s[item.nodeid] = time.process_time() - began_cpu_s + max(0.0, asleep_s) / 4
    tracer.stop()
    lines = tracer.get_data()
    if len(cost_s) < _MOST * len(items):
        sys.exit("too many tests fail without any fault")
    by_line = {
        str(path): {line: [test for test in tests if test in cost_s] for line, tests in found.items()}
        for path, found in ((path, lines.contexts_by_lineno(file)) for path, file in zip(paths, files, strict=True))
    }
    return cost_s, by_line


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def _in_child(made: Callable[[], Any]) -> Any:
    """The result of `made`, computed in a fork, so that this process stays as it was when tests were collected."""
    with tempfile.TemporaryFile() as file:
        pid = _fork()
        if not pid:
            code = 1
            try:
                gevent.reinit()
                pickle.dump(made(), file)
                file.flush()
                code = 0
            except SystemExit as error:
                sys.stderr.write(f"{error}\n")
            finally:
                os._exit(code)
        if _waitpid(pid, 0)[1]:
            sys.exit("the tests don't pass without any fault")
        file.seek(0)
        return pickle.load(file)  # noqa: S301 - our own child's


def _settle() -> None:
    """Set up a forked process: discard its output, and limit its memory."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    gevent.reinit()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _limit(cpu_s: float) -> None:
    """Kill this process with a signal after this much CPU time."""
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def _at_work_s(pid: int) -> float:
    """Time on a core or waiting for one. Source: Linux, Documentation/scheduler/sched-stats.rst."""
    with contextlib.suppress(OSError):
        ran_ns, waited_ns, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
        return (int(ran_ns) + int(waited_ns)) * 1e-9
    return math.inf
