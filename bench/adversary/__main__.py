"""Plays the cases through the command line and counts the wrong verdicts.

    python -m bench.adversary [NAME...]        writes bench/results/adversary.json if it plays all, or with --update

A name may be part of a case's name or kind. Exit code 1 if any verdict was wrong.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.adversary.cases import CASES
from bench.adversary.rounds import TRIES, Found, play_all
from bench.serving import has_results, machine, read_results, write_results

if TYPE_CHECKING:
    from bench.adversary.case import Case


RESULTS = "adversary"


def chosen(names: Sequence[str]) -> list[Case]:
    """All cases if no names are given; otherwise those that have one of these names.

    A name that no case has selects the cases that contain it in their name or kind.
    """
    whole = {name for name in names if any(case.name == name for case in CASES)}

    def is_meant(case: Case) -> bool:
        return case.name in whole or any(name in f"{case.name} {case.kind}" for name in names if name not in whole)

    return [case for case in CASES if not names or is_meant(case)]


def tell(found: Found) -> None:
    case = found.case
    words = ", ".join(f"{word} {count} ×" for word, count in sorted(found.said.items()))
    state = f"WRONG {found.wrong_rounds} ×" if found.wrong_rounds else "unmeasured" if found.unmeasured else "right"
    more = "".join(f"\n    {wrong}" for wrong in sorted(set(found.wrongs)))
    sys.stdout.write(f"{state:10} {case.name}: {words} (right: {' or '.join(case.right)}){more}\n")
    sys.stdout.flush()


def summary(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The counts that the claim is about."""
    honest = [one for one in found if one["honest"]]
    return {
        "cases": len(found),
        "kinds": len({one["kind"] for one in found}),
        "honest": len(honest),
        "honest_kinds": len({one["kind"] for one in honest}),
        "rounds": sum(sum(one["said"].values()) for one in found),
        "wrong_words": sum(one["wrong"] for one in found),
        "wrong_words_of_honest": sum(one["wrong"] for one in honest),
        **{name: sum(one[name] for one in found) for name in ("disturbed", "repeated", "unmeasured")},
    }


def keep(played: Sequence[Found]) -> None:
    """Replace these cases' previous results; cases that no longer exist are removed."""
    before = read_results(RESULTS) if has_results(RESULTS) else None
    new = {one.case.name: one.as_json() for one in played}
    by_name = {one["name"]: one for one in (before["found"] if before else [])} | new
    found = [by_name[case.name] for case in CASES if case.name in by_name]
    stay = any(one["name"] not in new for one in found)
    write_results(
        RESULTS,
        {
            **machine(before if stay else None),
            "command": "make bench-adversary",
            "of": len(CASES),
            **summary(found),
            "found": found,
        },
    )


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.adversary")
    parser.add_argument("names", nargs="*", help="parts of names or kinds (default: all cases)")
    parser.add_argument("--list", action="store_true", help="show the cases instead of playing them")
    parser.add_argument("--rounds", type=int, default=1, help="of each dishonest case")
    parser.add_argument("--honest-rounds", type=int, default=None, help="of each honest case (default: as --rounds)")
    parser.add_argument("--tries", type=int, default=TRIES, help="of a round on a machine that is too busy")
    parser.add_argument("--together", type=int, default=1, help="cases at a time; more than one disturb each other")
    parser.add_argument("--update", action="store_true", help="put what some cases said into the results, too")
    parser.add_argument("--keep", type=Path, default=None, help="a directory for what wrong cases printed")
    return parser.parse_args(argv)


def main() -> int:
    given = arguments()
    # Under nohup it is ignored, by this process and by all that cases start.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    cases = chosen(given.names)
    if given.list:
        sys.stdout.writelines(f"{case.name}: {case.tries} ({' or '.join(case.right)})\n" for case in cases)
        return 0
    found: list[Found] = []

    def ended(one: Found) -> None:
        tell(one)
        found.append(one)
        if given.update or len(cases) == len(CASES):
            keep(found)

    honest_rounds = given.honest_rounds or given.rounds
    play_all(
        cases,
        lambda case: honest_rounds if case.is_honest else given.rounds,
        together=given.together,
        tell=ended,
        keep=given.keep,
        tries=given.tries,
    )
    counts = summary([one.as_json() for one in found])
    sys.stdout.write(f"{counts}\n")
    return 1 if counts["wrong_words"] else 0


if __name__ == "__main__":
    sys.exit(main())
