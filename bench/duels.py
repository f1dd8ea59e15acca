"""How often real duels of the reference API are wrong: of a release with itself, and with a slower one.

    python -m bench.duels [TIMES [CASE...]]        adds to bench/results/duels.json, up to TIMES duels of each case

Resumable: each duel is stored once it is decided, and an interrupted one continues. Each takes a few minutes.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from bench.rounds import Rounds, Unmeasured
from bench.serving import ROOT, has_results, machine, read_results, write_results
from loadproof.analysis.compare.comparison import compare
from loadproof.analysis.compare.replicates import replicate
from loadproof.errors import ExitCode
from loadproof.plan.interleaving import SIDES
from loadproof.rundir.duel import DUEL, Duel, read_duel

SCENARIO: Final = ROOT / "scenarios/duel.yaml"
WORK: Final = ROOT / "reports/bench-duels"
BASE_MS: Final = 20
"""Delay of each answer in every release, so that an additional delay is a known fraction of the whole."""
CASES: Final = {"equal": 0, "5 % slower": 1, "10 % slower": 2}
"""Additional delay of the candidate in ms."""
DECIDED: Final = {ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE}
LONGEST_S: Final = 3600


def command(delay_ms: int) -> str:
    """The command of a release whose answers are delayed by this much."""
    faults = json.dumps({name: {"delay_ms": delay_ms} for name in ("balance", "transactions")})
    return f"LIMITER=off FAULTS='{faults}' exec {sys.executable} -m payments_api --port {{port}}"


def arguments(case: str, seed: int) -> list[str]:
    """Arguments that start a new duel, or resume an interrupted one."""
    unfinished = sorted(WORK.glob(f"{folder(case)}/*/{DUEL}"))
    if unfinished:
        return ["duel", "--resume", str(unfinished[0].parent)]
    candidate = ["--candidate", command(BASE_MS + CASES[case])] if CASES[case] else ["--aa"]
    options = ["--baseline", command(BASE_MS), *candidate, "--seed", str(seed), "--out", str(WORK / folder(case))]
    return ["duel", str(SCENARIO), *options]


def folder(case: str) -> str:
    return case.replace(" %", "").replace(" ", "-")


def fought(case: str, seed: int) -> dict[str, Any]:
    """The result of one duel; Unmeasured if it was not decided, and then it goes on when it is called again."""
    done = subprocess.run(
        [sys.executable, "-m", "loadproof", *arguments(case, seed)], cwd=ROOT, timeout=LONGEST_S, check=False
    )
    paths = sorted(WORK.glob(f"{folder(case)}/*/{DUEL}"))
    found = read_duel(paths[0].parent) if paths else None
    if found is None or found.ending != "decided" or done.returncode not in DECIDED:
        raise Unmeasured(f"not decided, code {done.returncode}; it goes on next time")
    path = paths[0].parent
    content = json.loads((path / "compare.json").read_text())
    result = {
        "case": case,
        **machine(),
        "word": content["word"],
        "pairs": found.pairs,
        "invalid": found.repeated,
        "changed": found.changed,
        "ratios": {
            f"{row['endpoint']} {row['metric']}": row["change"]["value"]
            for row in content["rows"]
            if row["named"] and row["unit"] == "s"
        },
        "in_time": in_time(path, found) if case == "equal" else None,
    }
    shutil.rmtree(path)
    return result


def in_time(path: Path, duel: Duel) -> str:
    """The word of comparing the first half of these equal runs with the second half: only the time differs."""
    runs = sorted((replicate(path / run.run) for side in SIDES for run in duel.of(side)), key=lambda run: run.started)
    return str(compare(runs[: len(runs) // 2], runs[len(runs) // 2 :]).word)


def main(times: int, cases: list[str]) -> None:
    results = read_results("duels") if has_results("duels") else {"duels": []}
    rounds = Rounds(results)
    for case in cases:
        while (made := sum(result["case"] == case for result in results["duels"])) < times:
            result = rounds.measured(case, functools.partial(fought, case, seed=1000 * made + 1))
            if result is None:
                break
            duels = [*results["duels"], result]
            results = {"command": "make bench-compare", "base_ms": BASE_MS, "duels": duels, **rounds.reported()}
            write_results("duels", results)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40, sys.argv[2:] or list(CASES))
