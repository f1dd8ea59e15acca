"""A duel without any runs yet."""

from __future__ import annotations

from loadproof.rundir.duel import Duel

PLANNED = Duel(
    scenario="quick",
    scenario_file="quick.yaml",
    settings={},
    sides={"baseline": "http://127.0.0.1:1", "candidate": "./serve"},
    looks=(4, 6),
    seed=1,
    target_file=None,
    locustfiles="locustfiles",
    workers=1,
    machine="a machine",
)
