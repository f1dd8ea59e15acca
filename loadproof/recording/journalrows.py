"""Turns requests that have ended into a member of journal.csv.gz, a few at a time."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from loadproof.outcome import SETUP
from loadproof.rundir.journal import cut, journal_lines, noted_text, quoted
from loadproof.rundir.members import Packing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from loadproof.plan.pacing import Due
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.masking import Masker

EndedRequest = tuple[str, str, "Due", float, float, int, str, str, bool, "Mapping[str, Any]"]
"""Client, request, due, sent and ended in monotonic seconds, status, outcome, Retry-After, repeated, noted: a plain
tuple, because creating anything else would be an extra call per request."""
MOST_HELD: Final = 100_000
"""Requests that a process holds, some 70 MB: more than it can send in the seconds from one report to the next."""
_AT_ONCE: Final = 100
"""Rows that are written while nobody else runs: about a millisecond."""


class JournalRows:
    """One per process of a run that records its requests. `mask` removes secrets from what strangers wrote."""

    def __init__(
        self, worker: str, spans: Sequence[PhaseSpan], mask: Masker, let_others_run: Callable[[], None]
    ) -> None:
        self._worker = worker
        self._phases = [span.name for span in spans]
        self._ends_s = [span.end_s for span in spans[:-1]]
        self._mask = mask
        self._let_others_run = let_others_run

    def member(self, requests: Sequence[EndedRequest], start_s: float) -> bytes:
        """As a gzip member; empty without requests. `start_s` is the run's start in monotonic seconds."""
        packing = Packing()
        for first in range(0, len(requests), _AT_ONCE):
            packing.add(journal_lines(self._rows(requests[first : first + _AT_ONCE], start_s)))
            self._let_others_run()
        return packing.member() if requests else b""

    def _rows(self, requests: Sequence[EndedRequest], start_s: float) -> Iterator[tuple[Any, ...]]:
        texts = self._masked([(request[7], noted_text(request[9])) for request in requests], requests)
        worker, phases, ends_s = self._worker, self._phases, self._ends_s
        for ended, (retry_after, noted) in zip(requests, texts, strict=True):
            client, request, due, sent_s, ended_s, status, outcome, _, is_repeated, _ = ended
            yield (
                worker,
                client,
                request,
                SETUP if due.is_setup else phases[bisect_right(ends_s, due.at_s)],
                round(1e6 * due.at_s),
                round(1e6 * (sent_s - start_s)),
                round(1e6 * (ended_s - start_s)),
                status,
                outcome,
                quoted(retry_after) if retry_after else "",
                is_repeated,
                quoted(noted) if noted else "",
            )

    def _masked(self, texts: list[tuple[str, str]], requests: Sequence[EndedRequest]) -> list[tuple[str, str]]:
        """Looked through together, and one by one only if there is a secret in them."""
        together = "\n".join([text for pair in texts for text in pair if text])
        if self._mask(together) == together:
            return texts
        return [(self._mask(request[7]), noted_text(self._masked_words(request[9]))) for request in requests]

    def _masked_words(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Each value by itself, so that the note stays JSON."""
        masked = {}
        for word, value in words.items():
            text = value if isinstance(value, str) else noted_text({"": value})
            without = self._mask(text)
            masked[self._mask(str(word))] = value if without == text else cut(without)
        return masked
