"""What the command line does with verdicts: a lenient exit code, CI annotations, and notifications."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from loadproof.cli.console.terminal import guard_commands, note, write_command
from loadproof.errors import LoadproofError, Problem
from loadproof.run.notifications import Channel, channels_of, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadproof.analysis.outputs.ci.judged import Judged


@dataclass(frozen=True)
class Policy:
    """How verdicts are reported to a CI server and to others."""

    inconclusive: Literal["fail", "pass"]
    annotate: Literal["github"] | None
    channels: Sequence[Channel] = ()
    """Webhooks and chats to notify."""

    @classmethod
    def of(
        cls,
        inconclusive: Literal["fail", "pass"],
        annotate: Literal["github"] | None,
        notify: Sequence[str] | None,
    ) -> Policy:
        """From `--inconclusive`, `--annotate` and `--notify`; InputError for an invalid recipient."""
        if annotate:
            guard_commands()
        return cls(inconclusive, annotate, channels_of(notify or ()))

    @property
    def is_lenient(self) -> bool:
        return self.inconclusive == "pass"

    def tell_all(
        self, judged: Sequence[Judged], *, summary: Path | None, report: Path | None, is_gate: bool = False
    ) -> None:
        """Report to the CI server and send notifications; a failed notification changes no verdict."""
        self.tell_ci(judged, summary)
        if not self.channels:
            return
        from loadproof.analysis.outputs.ci.notice import notice_json, notice_text

        problems = tell(
            self.channels,
            content=notice_json(judged, report, is_gate=is_gate, lenient=self.is_lenient),
            text=notice_text(judged, report, is_gate=is_gate, lenient=self.is_lenient),
        )
        for problem in problems:
            note(problem)

    @contextmanager
    def telling_trouble(self, name: str) -> Iterator[None]:
        """Report an expected error in the body of this context, which leaves no verdict, before it ends the program."""
        try:
            yield
        except LoadproofError as error:
            if self.annotate or self.channels:
                from loadproof.analysis.outputs.ci.judged import Judged

                self.tell_all([Judged.of_error(name, error)], summary=None, report=None)
            raise

    def tell_ci(self, judged: Sequence[Judged], summary: Path | None) -> None:
        """Report each threshold that did not pass, and write the summary for the workflow's page."""
        if self.annotate is None:
            return
        for entry in judged:
            for command in entry.annotations(lenient=self.is_lenient):
                write_command(command)
        shown = os.environ.get("GITHUB_STEP_SUMMARY")
        if shown and summary:
            try:
                with Path(shown).open("a", encoding="utf-8") as file:
                    file.write(summary.read_text(encoding="utf-8"))
            except OSError as error:
                # The verdict is valid without it.
                what = f"the summary can't be shown: {error.strerror or error}"
                remedy = "make sure its disk has space, or leave out --annotate"
                note(Problem("GITHUB_STEP_SUMMARY", what, remedy))
