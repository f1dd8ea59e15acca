"""Combines the verdicts of several runs into a table, a summary, JUnit suites and GitHub annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from rich.table import Table
from rich.text import Text

from loadproof.analysis.inert import markdown
from loadproof.analysis.judge.verdict import EXIT_CODES, exit_code
from loadproof.analysis.outputs.annotations import workflow_command
from loadproof.analysis.outputs.comparisonresults import concluded_comparison
from loadproof.analysis.outputs.comparisontables import comparison_markdown
from loadproof.analysis.outputs.junit import junit_xml
from loadproof.analysis.outputs.tables import STYLES, summary_markdown
from loadproof.analysis.word import PRECEDENCE, Word
from loadproof.errors import ExitCode, escaped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.judge.verdict import Verdict
    from loadproof.analysis.outputs.concluded import Concluded

_NOT_MEASURED: Final = "NOT MEASURED"


@dataclass(frozen=True)
class Gated:
    """One scenario of a gate, or one report: its run and verdict, or why it could not be measured."""

    scenario: str
    run: Run | None = None
    verdict: Verdict | None = None
    trouble: str = ""
    ended_as: ExitCode | None = None
    """How the program ends, if its verdict doesn't say so."""
    comparison: Comparison | None = None
    """A comparison of several runs with the baseline's, in place of a run."""
    result: Concluded | None = None
    """The result of a search or a history, in place of a run."""

    @property
    def concluded(self) -> Concluded | None:
        """The conclusion from several runs; None for a single run."""
        return concluded_comparison(self.comparison) if self.comparison else self.result

    @property
    def decided(self) -> Verdict | Concluded | None:
        """The conclusion or verdict; None if nothing was measured."""
        return self.concluded or self.verdict

    @property
    def verdict_word(self) -> Word | None:
        return self.decided.word if self.decided else None

    @property
    def word(self) -> str:
        return self.verdict_word or _NOT_MEASURED

    @property
    def reason(self) -> str:
        return self.decided.reason if self.decided else self.trouble

    def exit_code(self, *, lenient: bool) -> ExitCode:
        if self.ended_as is not None:
            return self.ended_as
        if self.verdict_word is None:
            return ExitCode.NOTHING_MEASURED
        # Comparisons and other tools' CSVs and logs have no run that could have been interrupted.
        of_run = exit_code(self.verdict, self.run.manifest) if self.run and self.verdict else None
        code = of_run or EXIT_CODES[self.verdict_word]
        return ExitCode.PASS if lenient and code is ExitCode.INCONCLUSIVE else code


_WORST_FIRST: Final = (
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.NOTHING_MEASURED,
    *(EXIT_CODES[word] for word in PRECEDENCE),
)


def worst_exit_code(gated: Sequence[Gated], *, lenient: bool) -> ExitCode:
    """The exit code of the whole gate; `lenient` accepts INCONCLUSIVE."""
    return worst_of([entry.exit_code(lenient=lenient) for entry in gated])


def worst_of(codes: Collection[ExitCode]) -> ExitCode:
    """The worst of these exit codes; NOTHING_MEASURED without any."""
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.NOTHING_MEASURED)


def gate_markdown(gated: Sequence[Gated]) -> str:
    """An overview of all scenarios, then the summary of each."""
    lines = ["| | scenario | why |", "|---|---|---|"]
    lines += [f"| {entry.word} | {markdown(entry.scenario)} | {markdown(entry.reason)} |" for entry in gated]
    parts = [summary_markdown(entry.run, entry.verdict) for entry in gated if entry.run and entry.verdict]
    parts += [comparison_markdown(entry.comparison) for entry in gated if entry.comparison]
    return "\n".join([*lines, "", *parts])


def gate_junit(gated: Sequence[Gated]) -> str:
    """One suite per scenario; a scenario that could not be measured is an error."""
    suites = ElementTree.Element("testsuites", name="loadproof")
    for entry in gated:
        text = entry.concluded.junit if entry.concluded else ""
        if entry.run is not None and entry.verdict is not None:
            text = junit_xml(entry.run, entry.verdict)
        if text:
            suites.append(ElementTree.fromstring(text))  # noqa: S314 - written by us
            continue
        name = f"loadproof.{escaped(entry.scenario)}"
        suite = ElementTree.SubElement(suites, "testsuite", name=name, tests="1", failures="0", errors="1")
        case = ElementTree.SubElement(suite, "testcase", classname=name, name="measured")
        ElementTree.SubElement(case, "error", type=_NOT_MEASURED, message=escaped(entry.trouble))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def gate_table(gated: Sequence[Gated]) -> Table:
    """A table of verdicts for the terminal, without paths: those are printed below it, where nothing cuts them off."""
    table = Table("", "scenario", "why")
    for entry in gated:
        style = STYLES[entry.verdict_word] if entry.verdict_word else "bold red"
        table.add_row(Text(entry.word, style), *(Text(escaped(text)) for text in (entry.scenario, entry.reason)))
    return table


def github_annotations(gated: Sequence[Gated], *, lenient: bool) -> Iterator[str]:
    """A workflow command for each threshold and finding that is not PASS, and for each unmeasured scenario."""
    for entry in gated:
        if entry.concluded is not None:
            yield from entry.concluded.annotations(lenient=lenient)
            continue
        if entry.verdict is None:
            yield workflow_command("error", f"{entry.scenario}: {_NOT_MEASURED}", entry.trouble)
            continue
        messages = [
            (judgement.word, f"{judgement.threshold.scope}: {judgement.threshold.expect}", judgement.reason)
            for judgement in entry.verdict.judgements
        ]
        messages += [(audited.word, f"audit of {audited.audit}", audited.reason) for audited in entry.verdict.audits]
        messages += [(finding.word, finding.what, finding.remedy) for finding in entry.verdict.findings]
        for word, title, message in messages:
            if word is not Word.PASS:
                kind = "warning" if lenient and word is Word.INCONCLUSIVE else "error"
                yield workflow_command(kind, f"{entry.scenario}: {word}", f"{title}: {message}")
