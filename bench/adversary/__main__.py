"""Plays the cases through the command line and counts the wrong verdicts.

    python -m bench.adversary [NAME...]        writes bench/results/adversary.json if it plays all, or with --update

A name may be part of a case's name or kind. Exits with 1 if any verdict was wrong.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.adversary.cases import CASES
from bench.adversary.rounds import TRIES, Tally, play_all
from bench.serving import has_results, machine, read_results, write_results

if TYPE_CHECKING:
    from bench.adversary.case import Case


RESULTS = "adversary"


def chosen(names: Sequence[str]) -> list[Case]:
    """The cases with these names, or all cases if there are none.

    A name that no case has selects the cases that contain it in their name or kind.
    """
    whole = {name for name in names if any(case.name == name for case in CASES)}

    def is_meant(case: Case) -> bool:
        return case.name in whole or any(name in f"{case.name} {case.kind}" for name in names if name not in whole)

    return [case for case in CASES if not names or is_meant(case)]


def tell(tally: Tally) -> None:
    case = tally.case
    words = ", ".join(f"{word} {count} ×" for word, count in sorted(tally.said.items()))
    state = f"WRONG {tally.wrong_rounds} ×" if tally.wrong_rounds else "unmeasured" if tally.unmeasured else "right"
    more = "".join(f"\n    {wrong}" for wrong in sorted(set(tally.wrongs)))
    sys.stdout.write(f"{state:10} {case.name}: {words} (right: {' or '.join(case.right)}){more}\n")
    sys.stdout.flush()


def summary(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The counts that the documentation states."""
    honest = [case for case in cases if case["honest"]]
    return {
        "cases": len(cases),
        "kinds": len({case["kind"] for case in cases}),
        "honest": len(honest),
        "honest_kinds": len({case["kind"] for case in honest}),
        "rounds": sum(sum(case["said"].values()) for case in cases),
        "wrong_words": sum(case["wrong"] for case in cases),
        "wrong_words_of_honest": sum(case["wrong"] for case in honest),
        **{name: sum(case[name] for case in cases) for name in ("disturbed", "repeated", "unmeasured")},
    }


def keep(played: Sequence[Tally]) -> None:
    """Replace these cases' previous results; cases that no longer exist are removed."""
    before = read_results(RESULTS) if has_results(RESULTS) else None
    new = {result.case.name: result.as_json() for result in played}
    by_name = {result["name"]: result for result in (before["found"] if before else [])} | new
    results = [by_name[case.name] for case in CASES if case.name in by_name]
    stay = any(result["name"] not in new for result in results)
    write_results(
        RESULTS,
        {
            **machine(before if stay else None),
            "command": "make bench-adversary",
            "of": len(CASES),
            **summary(results),
            "found": results,
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
    options = arguments()
    # Under nohup, this process and all that it starts would ignore SIGHUP, which some cases send.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    cases = chosen(options.names)
    if options.list:
        sys.stdout.writelines(f"{case.name}: {case.tries} ({' or '.join(case.right)})\n" for case in cases)
        return 0
    tallies: list[Tally] = []

    def ended(tally: Tally) -> None:
        tell(tally)
        tallies.append(tally)
        if options.update or len(cases) == len(CASES):
            keep(tallies)

    honest_rounds = options.honest_rounds or options.rounds
    play_all(
        cases,
        lambda case: honest_rounds if case.is_honest else options.rounds,
        together=options.together,
        tell=ended,
        keep=options.keep,
        tries=options.tries,
    )
    counts = summary([tally.as_json() for tally in tallies])
    sys.stdout.write(f"{counts}\n")
    return 1 if counts["wrong_words"] else 0


if __name__ == "__main__":
    sys.exit(main())
