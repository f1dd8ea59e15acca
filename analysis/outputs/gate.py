"""Combines the verdicts of several runs into a table, a summary and JUnit suites."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from rich.table import Table
from rich.text import Text

from loadproof.analysis.inert import markdown
from loadproof.analysis.outputs.ci.junit import junit_xml
from loadproof.analysis.outputs.comparisontables import comparison_markdown
from loadproof.analysis.outputs.tables import STYLES, summary_markdown
from loadproof.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.outputs.ci.judged import Judged


def gate_markdown(gated: Sequence[Judged]) -> str:
    """An overview of all scenarios, then the summary of each."""
    lines = ["| | scenario | why |", "|---|---|---|"]
    lines += [f"| {entry.word} | {markdown(entry.scenario)} | {markdown(entry.reason)} |" for entry in gated]
    parts = [summary_markdown(entry.run, entry.verdict) for entry in gated if entry.run and entry.verdict]
    parts += [comparison_markdown(entry.comparison) for entry in gated if entry.comparison]
    return "\n".join([*lines, "", *parts])


def gate_junit(gated: Sequence[Judged]) -> str:
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
        ElementTree.SubElement(case, "error", type=entry.word, message=escaped(entry.trouble))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def gate_table(gated: Sequence[Judged]) -> Table:
    """A table of verdicts for the terminal, without paths: those are printed below it, where nothing cuts them off."""
    table = Table("", "scenario", "why")
    for entry in gated:
        style = STYLES[entry.verdict_word] if entry.verdict_word else "bold red"
        table.add_row(Text(entry.word, style), *(Text(escaped(text)) for text in (entry.scenario, entry.reason)))
    return table
