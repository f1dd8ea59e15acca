"""Trials of a search with two goals, of which late answers break the first."""

from __future__ import annotations

from loadproof.rundir.trials import GoalLoss, Search, SearchGoal, Trial
from simulation.trials import search_for

LATE, WRONG = "p(95) < 20 ms", "error_ratio < 1 %"


def trial(number: int, load_rps: float, *, late: float = 0.0, wrong: float = 0.0, **changes: object) -> Trial:
    """A trial with these loss ratios."""
    bad = max(late, wrong)
    content = {
        "number": number,
        "stage": "search",
        "load_rps": load_rps,
        "duration_s": 10.0,
        "run": f"run-{number}",
        "losses": [
            GoalLoss(goal=LATE, lost=round(late * 1000), of=1000, allowed=0.05),
            GoalLoss(goal=WRONG, lost=round(wrong * 1000), of=1000, allowed=0.01),
        ],
        "offered": round(load_rps * 10),
        "goodput_rps": load_rps * (1 - bad),
        "outcomes": {"ok": 10, "late": round(late * 1000), "server_error": round(wrong * 1000)},
    }
    return Trial.model_validate(content | changes)


def search(**changes: object) -> Search:
    goals = [
        SearchGoal(
            goal=name,
            loss_ratio=allowed,
            exceed_ratio=0.5,
            final_trial_s=10.0,
            duration_sum_s=10.0,
            initial_trial_s=10.0,
            width=0.05,
        )
        for name, allowed in ((LATE, 0.05), (WRONG, 0.01))
    ]
    return search_for(100.0, 4000.0).model_copy(update={"goals": goals, **changes})


FOUND = [
    trial(1, 4000, late=0.9, wrong=0.5),
    trial(2, 900),
    trial(3, 1050, late=0.2),
    trial(4, 980, late=0.02),
    trial(5, 1010, late=0.08, stage="repeat"),
    trial(6, 960, stage="repeat"),
    trial(7, 1010, late=0.07, stage="repeat"),
    trial(8, 960, late=0.06, stage="repeat"),
    trial(9, 960, stage="repeat"),
    *(trial(number, 960, stage="repeat") for number in range(10, 13)),
    *(trial(number, 1010, late=0.09, stage="repeat") for number in range(13, 16)),
    trial(16, 1200, late=0.6, stage="beyond", p95_s=0.3),
]
