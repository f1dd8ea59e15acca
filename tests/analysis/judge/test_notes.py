"""What is worth a note besides the thresholds, word for word and with its remedy."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from loadproof.analysis.estimates.recovery import Aftermath, Recovery
from loadproof.analysis.estimates.shedding import Shedding
from loadproof.analysis.estimates.steady import Alike, Settling
from loadproof.analysis.judge.degradation import Degradation, notes
from loadproof.analysis.word import Word


def nothing(**changes) -> Degradation:
    empty = {
        "curve": None,
        "recoveries": (),
        "unrest": (),
        "drifts": (),
        "settling": None,
        "too_alike": (),
        "too_short": (),
        "shedding": None,
    }
    return Degradation(**empty | changes)


def recovery(took_s: float | None) -> Recovery:
    known = dict.fromkeys(Recovery.__dataclass_fields__, None)
    return Recovery(
        **known | {"trigger": "spike", "took_s": took_s, "looked_s": 30, "aftermath": Aftermath(100.0, 5.0, 0.8)}
    )


COLLAPSE = SimpleNamespace(
    peak=SimpleNamespace(phase="at-100", goodput_rps=100), step=SimpleNamespace(phase="at-200", goodput_rps=60)
)
KEEP = "refuse before doing any work, and say in Retry-After when to come back"
ALIKE = Alike("steady", correlation=0.5, lasted_s=20)


@pytest.mark.parametrize(
    ("degradation", "told"),
    [
        (nothing(), []),
        (
            nothing(curve=SimpleNamespace(collapse=COLLAPSE)),
            [
                (
                    "goodput collapsed: 100 rps in at-100, 60 rps in at-200 under a higher load",
                    "refuse excess requests early, before they cost anything",
                )
            ],
        ),
        (nothing(shedding=Shedding(1000, 0.01, 0.1, 10, 0, 0, 0)), []),
        (
            nothing(shedding=Shedding(1000, 0.5, 0.1, 10, 0, 0, 0)),
            [("1,000 requests were refused, not gracefully: refused slowly, p95 500 ms", KEEP)],
        ),
        (nothing(recoveries=(recovery(3.0),)), []),
        (
            nothing(recoveries=(recovery(None),)),
            [
                (
                    f"metastable: not recovered from spike, 30 s after it: {Aftermath(100.0, 5.0, 0.8)}",
                    "look for retries, full queues and lost caches that keep the load up",
                )
            ],
        ),
        (nothing(unrest=("a reason",)), [("a reason", "compare with a phase in which the target keeps up")]),
        (
            nothing(too_short=("a", "b")),
            [
                (
                    "a, b: too few seconds to tell how correlated they are; treated as independent",
                    "let a phase last at least 10 s if a verdict depends on it",
                )
            ],
        ),
        (nothing(settling=Settling(15, 10.0, "steady")), []),
        (
            nothing(settling=Settling(16, 10.0, "steady")),
            [
                (
                    "response times: settled after 16 s; the warm-up ended at 10 s",
                    "warm up longer, or check what drifts",
                )
            ],
        ),
        (
            nothing(settling=Settling(None, 10.0, "steady"), too_alike=(ALIKE,)),
            [
                (
                    "response times: no steady state; the warm-up ended at 10 s",
                    "warm up longer, or check what drifts",
                )
            ],
        ),
        (
            nothing(too_alike=(ALIKE,)),
            [
                (
                    (
                        "neighbouring seconds of steady are correlated (0.50): "
                        "with only 20 s of them, intervals are too narrow"
                    ),
                    "let it last 2 min if the verdict is close",
                )
            ],
        ),
    ],
    ids=lambda value: value[0][0][:24] if isinstance(value, list) and value else "",
)
def test_a_note_has_its_remedy(degradation, told):
    """None of them decides."""
    assert [(note.what, note.remedy) for note in notes(degradation)] == told
    assert all(note.word is Word.PASS for note in notes(degradation))
