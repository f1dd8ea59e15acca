"""Checks a duel's command-line options: releases, looks and, with --duet, the halves of the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from loadproof.errors import InputError, Problem
from loadproof.plan.interleaving import SIDES, Side
from loadproof.run.experiments.duel import looks_problem
from loadproof.run.experiments.lane import LEAST_CORES
from loadproof.run.machine import environment

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.rundir.duel import Duel

LOOKS: Final = (4, 6, 8, 12)
QUICK_LOOKS: Final = (4, 6)


def given_scenario(file: Path | None) -> Path:
    """The scenario file; InputError if it is missing."""
    if file is None:
        raise InputError(Problem("SCENARIO", "missing", "give a scenario file, or --resume DIR"))
    return file


def sides_of(baseline: str | None, candidate: str | None, *, is_aa: bool) -> dict[Side, str]:
    """The release of each side; InputError if they can't be compared."""
    if baseline is None:
        raise InputError(Problem("--baseline", "missing", "give the last release's URL, or the command that starts it"))
    if is_aa:
        if candidate is not None:
            raise InputError(Problem("--aa", "compares the baseline with itself", "leave out --candidate"))
        return dict.fromkeys(SIDES, baseline)
    if candidate is None:
        remedy = "give the new release's URL or command, or --aa to compare the baseline with itself"
        raise InputError(Problem("--candidate", "missing", remedy))
    if baseline.strip().rstrip("/") == candidate.strip().rstrip("/"):
        remedy = "give another release, or use --aa to see how often equal releases are called different"
        raise InputError(Problem("--candidate", "the same as --baseline", remedy, got=candidate))
    return {"baseline": baseline, "candidate": candidate}


def looks_of(text: str | None, *, is_quick: bool) -> tuple[int, ...]:
    """The numbers of runs per side at which the duel may end; InputError if they can't be used."""
    if text is None:
        return QUICK_LOOKS if is_quick else LOOKS
    if is_quick:
        raise InputError(Problem("--looks", "contradicts --quick, which sets its own", "leave one of them out"))
    parts = [part.strip() for part in text.split(",")]
    is_list = all(part.isascii() and part.isdecimal() and len(part) < 5 for part in parts)
    looks = tuple(map(int, parts)) if is_list else ()
    what = looks_problem(looks) if is_list else "not a list of numbers"
    if what is not None:
        raise InputError(Problem("--looks", what, "write increasing even numbers, like 4,6,8,12", got=text))
    return looks


def check_duet(duel: Duel, reports: Path) -> None:
    """InputError if this machine has too few cores for two halves, or no duel of equals has shown them to be alike."""
    from loadproof.analysis.compare.duel.falsealarms import false_alarms

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if cores < LEAST_CORES:
        what = f"two releases and two generators at the same time need {LEAST_CORES} cores"
        raise InputError(Problem("--duet", what, "leave it out: the releases then take turns", got=str(cores)))
    if duel.workers > 1:
        raise InputError(Problem("--duet", "each half has one generator", "leave out --workers", got=str(duel.workers)))
    alarms = false_alarms(reports, duel)
    if duel.kind != "aa" and (alarms.found or not alarms.duels):
        unknown = "no duel of equals has shown that this machine's halves are alike"
        what = str(alarms) if alarms.found else unknown
        raise InputError(Problem("--duet", what, "run one first, with --aa --duet, or take turns without --duet"))


def refuse_beside(resume: Path, *others: object, is_said: bool) -> None:
    """InputError if any other option is given: a resumed duel continues with the options it began with."""
    if is_said or any(other is not None for other in others):
        what = "the duel keeps its scenario, releases, looks and load"
        raise InputError(Problem(f"--resume {resume}", what, "leave the others out"))


def on_this_machine(duel: Duel, resume: Path) -> Duel:
    """The duel to continue; InputError if its runs were made on another machine, so they aren't comparable."""
    here = environment.machine()
    if duel.runs and duel.machine != here:
        what = f"the duel was begun on another machine ({duel.machine})"
        raise InputError(Problem(f"--resume {resume}", what, "resume it there, or start a new one here", got=here))
    return duel.model_copy(update={"machine": here})
