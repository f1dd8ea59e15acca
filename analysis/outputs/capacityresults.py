"""Turns a search's result into its verdict and test cases, for JUnit XML and annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.outputs.capacityfile import VERDICTS, capacity_next_step, estimated_text, facts, sentence_of
from loadproof.analysis.outputs.ci.concluded import Concluded
from loadproof.analysis.outputs.ci.junit import HELD, TRUSTED, Case
from loadproof.analysis.word import Word
from loadproof.errors import escaped

if TYPE_CHECKING:
    from loadproof.analysis.capacity.capacity import Capacity
    from loadproof.rundir.trials import Search

A_CAPACITY: Final = "a capacity was found"


def concluded_capacity(search: Search, result: Capacity) -> Concluded:
    """One case for the capacity, and one for each of two obstacles: an invalid measurement, a target that died."""
    word, sentence = VERDICTS[result.found], sentence_of(result)
    found = Word.PASS if word is Word.PASS else Word.INCONCLUSIVE
    cases = (
        Case(A_CAPACITY, found, "" if found is Word.PASS else sentence, 0.0),
        *(
            Case(name, word if word is broken else Word.PASS, sentence if word is broken else "", 0.0)
            for name, broken in ((TRUSTED, Word.INVALID), (HELD, Word.FAIL))
        ),
    )
    notes = "\n".join(map(escaped, (sentence, estimated_text(search, result), *facts(search, result))))
    # The reason already says everything that an annotation could.
    return Concluded("capacity", search.scenario, word, sentence, capacity_next_step(search, result), cases, (), notes)
