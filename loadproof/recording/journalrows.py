"""Turns ended requests into a gzip member of journal.csv.gz, a few at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from loadproof.outcome import SETUP
from loadproof.rundir.journal import header_text, journal_lines, noted_text, quoted
from loadproof.rundir.members import Packing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from loadproof.plan.pacing import Due
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.masking.masking import Masker

Words = Mapping[str, Any]
MOST_HELD: Final = 100_000
"""Requests that a process holds, about 70 MB: more than it can send between two reports."""
_AT_ONCE: Final = 100
"""Rows written before other greenlets run: about a millisecond."""


class EndedRequest(NamedTuple):
    """A request as its user saw it end; `sent_s` and `ended_s` are monotonic."""

    client: str
    name: str
    due: Due
    sent_s: float
    ended_s: float
    status: int
    outcome: str
    retry_after: str
    is_repeated: bool
    note: Words | None
    """What the call noted of it."""
    found: Words | None
    """What was found in the answer."""


class JournalRows:
    """One per process of a run that records its requests. `mask` removes secrets from texts we didn't write."""

    def __init__(
        self, worker: str, spans: Sequence[PhaseSpan], mask: Masker, let_others_run: Callable[[], None]
    ) -> None:
        self._worker = worker
        self._phases = [span.name for span in spans]
        self._ends_s = [span.end_s for span in spans[:-1]]
        self._mask = mask
        self._let_others_run = let_others_run

    def member(self, requests: Sequence[EndedRequest], start_s: float) -> bytes:
        """The requests as a gzip member; empty without requests. `start_s` is the run's start in monotonic seconds."""
        packing = Packing()
        for first in range(0, len(requests), _AT_ONCE):
            packing.add(journal_lines(self._rows(requests[first : first + _AT_ONCE], start_s)))
            self._let_others_run()
        return packing.member() if requests else b""

    def _rows(self, requests: Sequence[EndedRequest], start_s: float) -> Iterator[tuple[Any, ...]]:
        worker, phases, ends_s = self._worker, self._phases, self._ends_s
        texts = self._texts(requests)
        for ended, (retry_after, noted) in zip(requests, texts, strict=True):
            at_s = ended.due.at_s
            yield (
                worker,
                ended.client,
                ended.name,
                SETUP if ended.due.is_setup else phases[bisect_right(ends_s, at_s)],
                round(1e6 * at_s),
                round(1e6 * (ended.sent_s - start_s)),
                round(1e6 * (ended.ended_s - start_s)),
                ended.status,
                ended.outcome,
                quoted(retry_after) if retry_after else "",
                ended.is_repeated,
                quoted(noted),
            )

    def _texts(self, requests: Sequence[EndedRequest]) -> list[tuple[str, str]]:
        """Retry-After and notes, masked: searched together first, and one by one only if there is a secret in them."""
        said = [(request.retry_after, _words(request)) for request in requests]
        if not self._mask.knows_nothing:
            texts: set[str] = set()
            for asked, words in said:
                texts.add(asked)
                texts.update(words)
                texts.update([value if type(value) is str else _text(value) for value in words.values()])
            together = "\n".join(texts)
            if self._mask(together) != together:
                said = [(self._mask(asked), self._masked(words)) for asked, words in said]
        return [(header_text(asked) if asked else "", noted_text(words)) for asked, words in said]

    def _masked(self, words: Words) -> dict[str, Any]:
        """Each value by itself, so that the note stays JSON."""
        masked = {}
        for word, value in words.items():
            text = _text(value)
            without = self._mask(text)
            masked[self._mask(str(word))] = value if without == text else without
        return masked


def _words(request: EndedRequest) -> Words:
    """The call's note and what was found in the answer, merged."""
    note, found = request.note, request.found
    return {**note, **found} if note and found else note or found or {}


def _text(value: Any) -> str:
    """The text of a value, in which there may be a secret; empty for numbers, which are none."""
    if isinstance(value, str):
        return value
    return "" if isinstance(value, int | float) else noted_text({"": value})
