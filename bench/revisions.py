"""The cost of a change: requests/s of one core, and CPU at 1000 requests/s, before and after it.

    python -m bench.revisions BEFORE [--after HEAD] [--rounds 5]        writes bench/results/revisions.json

Both revisions are checked out side by side and take turns, each with its own `bench`, so that a slow minute of the
machine affects both. The result is the median of the rounds' ratios, after over before.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rounds import Rounds, Unmeasured
from bench.serving import ROOT, machine, nginx, write_results

MOST_COST = 0.05
"""The most that a change may cost."""
_THROUGHPUT, _COMMAND, _SENDING = "requests/s", "CPU of the command at 1000 rps", "CPU of what sends at 1000 rps"
_SNIPPETS = (
    f"from bench.throughput import loadproof_rate as measure; found = {{{_THROUGHPUT!r}: measure('URL')}}",
    f"""from bench.rate import loadproof as measure; figures = measure(SEED)
found = {{{_COMMAND!r}: figures["cpu_s_per_1000"], {_SENDING!r}: figures["sending_cpu_s_per_1000"]}}""",
)
Figures = dict[str, float]


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A temporary work tree of this revision."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / revision
        _git("worktree", "add", "--detach", str(path), revision)
        try:
            yield path
        finally:
            _git("worktree", "remove", "--force", str(path))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def measured(tree: Path, snippet: str) -> Figures:
    """Figures measured with the tree's own code: with this working directory Python imports it first."""
    code = f"import json\n{snippet}\nprint(json.dumps(found))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise Unmeasured(done.stderr.strip().rpartition("\n")[2])
    found: Figures = json.loads(done.stdout)
    return found


def rounds_of(before: Path, after: Path, count: int) -> tuple[list[tuple[Figures, Figures]], dict[str, dict[str, int]]]:
    """Figures before and after, of each round that could be measured for both, and counts of repeats."""
    rounds = Rounds()
    pairs: list[tuple[Figures, Figures]] = []
    with nginx() as url:
        for number in range(count):
            # Rounds alternate which revision goes first, so that neither always gets the warmer machine.
            order = (before, after) if number % 2 else (after, before)
            for snippet in _SNIPPETS:
                code = snippet.replace("URL", url).replace("SEED", str(number))
                figures = {tree: rounds.measured(tree.name, functools.partial(measured, tree, code)) for tree in order}
                first, second = figures[before], figures[after]
                if first is not None and second is not None:
                    pairs.append((first, second))
                    sys.stderr.write(f"round {number + 1} of {count}: {first} | {second}\n")
    return pairs, rounds.reported()


def median_ratios(pairs: list[tuple[Figures, Figures]]) -> Figures:
    """Median of after over before, for each figure."""
    names = dict.fromkeys(name for before, _ in pairs for name in before)
    return {
        name: round(statistics.median(after[name] / before[name] for before, after in pairs if name in before), 3)
        for name in names
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.revisions")
    parser.add_argument("before", help="a revision that git knows")
    parser.add_argument("--after", default="HEAD")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    named = {name: _git("rev-parse", "--short", getattr(given, name)) for name in ("before", "after")}
    with checked_out(given.before) as before, checked_out(given.after) as after:
        pairs, counts = rounds_of(before, after, given.rounds)
    ratios = median_ratios(pairs)
    write_results("revisions", {**machine(), **named, "pairs": pairs, "median_ratios": ratios, **counts})
    sys.stdout.write(f"{json.dumps(ratios, indent=2)}\n")
    costs = [1 - ratio if name == _THROUGHPUT else ratio - 1 for name, ratio in ratios.items()]
    return int(len(ratios) < 3 or max(costs) > MOST_COST)


if __name__ == "__main__":
    sys.exit(main())
