"""Plants faults in each group of files for a limited time, and reports how many of them the tests notice.

python -m bench.mutation                    all groups; exits with 1 if too few are noticed
python -m bench.mutation judge --seconds 60
python -m bench.mutation judge --again      only faults that survived last time; `--tests PATH` runs only these tests
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import Any

import pytest

from bench.mutation.groups import ENOUGH, GROUPS, QUICK
from bench.mutation.runner import MutationRun
from bench.mutation.table import is_noticed, share
from bench.serving import has_results, machine, read_results, write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", default=list(GROUPS), metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--seconds", type=float, default=600.0, help="for each group (default: 600)")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which they come (default: 1)")
    parser.add_argument("--again", action="store_true", help="only what survived the last time")
    parser.add_argument("--tests", nargs="*", help="these instead of the group's")
    arguments = parser.parse_args()
    if len(arguments.groups) == 1:
        sys.exit(_play(arguments.groups[0], arguments))
    # One process per group: what one group's tests import must not affect another group.
    options = ["--seconds", str(arguments.seconds), "--seed", str(arguments.seed)]
    options += ["--again"] if arguments.again else []
    options += ["--tests", *arguments.tests] if arguments.tests else []
    codes = [
        subprocess.run([sys.executable, "-m", "bench.mutation", group, *options], check=False).returncode
        for group in arguments.groups
    ]
    sys.exit(max(codes))


def _play(name: str, arguments: argparse.Namespace) -> int:
    group = GROUPS[name]
    before = _kept().get(name, {}).get("fates", [])
    only = {_key(fate) for fate in before if not is_noticed(fate)} if arguments.again else None
    run = MutationRun(group.paths, only=only, confirms=group.confirms, seed=arguments.seed, lasts_s=arguments.seconds)
    # Without this variable, tests are quick and the same every time.
    os.environ.pop("LOADPROOF_SIMULATIONS", None)
    code = pytest.main(
        ["-q", "-s", "-p", "no:cacheprovider", "-m", QUICK, *(arguments.tests or group.tests)], plugins=[run]
    )
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED} or not run.fates:
        return 2
    played = [fate._asdict() for fate in run.fates]
    tried = {_key(fate) for fate in played}
    fates = sorted([*played, *(fate for fate in before if arguments.again and _key(fate) not in tried)], key=_key)
    results = _kept()
    results[name] = {
        **machine(),
        "seed": arguments.seed,
        "planned": run.planned,
        "fates": fates,
    }
    write_results("mutation", results)
    for path in run.planned:
        own = [fate for fate in fates if fate["path"] == path]
        sys.stdout.write(f"{path}: {share(own):.1%} of {len(own)} noticed, {run.planned[path]} planned\n")
    sys.stdout.write(f"{name}: {share(fates):.1%} of {len(fates)} noticed\n")
    return int(share(fates) < ENOUGH)


def _kept() -> dict[str, Any]:
    return read_results("mutation") if has_results("mutation") else {}


def _key(fate: dict[str, Any]) -> tuple[str, str, int, str]:
    return fate["path"], fate["within"], fate["line"], fate["told"]


if __name__ == "__main__":
    main()
