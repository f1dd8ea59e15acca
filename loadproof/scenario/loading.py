"""Turns a scenario file and the command line's overrides into a checked Scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadproof.errors import InputError, Problem
from loadproof.scenario.contradictions.contradictions import contradictions
from loadproof.scenario.document import Document, parse_scalar, parse_yaml
from loadproof.scenario.scenario import Scenario
from loadproof.scenario.strict import read_document, validate


class ContradictionError(InputError):
    """The fields of a scenario are each valid but contradict each other; `scenario` can still be examined."""

    def __init__(self, problems: list[Problem], scenario: Scenario) -> None:
        super().__init__(problems)
        self.scenario = scenario


def load_scenario(path: Path, overrides: Mapping[str, str] | None = None, *, text: str | None = None) -> Scenario:
    """Read and check a scenario; InputError reports everything that is wrong with it at once.

    `text` replaces the file's content. `overrides` come from the command line: {'phases.steady.duration': '5 s'}; a
    phase is addressed by its name.
    """
    document = read_document(path) if text is None else parse_yaml(text, str(path))
    for key, value in (overrides or {}).items():
        _override(document, key, value)
    return check_scenario(document)


def check_scenario(document: Document) -> Scenario:
    """The checked scenario; InputError with everything that is wrong in its fields.

    If each field is valid, ContradictionError with everything that is wrong between them.
    """
    scenario = validate(Scenario, document)
    problems = [mistake.problem(document) for mistake in contradictions(scenario)]
    if problems:
        raise ContradictionError(problems, scenario)
    return scenario


def _override(document: Document, key: str, text: str) -> None:
    where = f"--set {key}={text}"
    *parents, last = key.split(".")
    value = document.value
    for part in parents:
        value = value.setdefault(part, {}) if isinstance(value, dict) else _item(value, part)
    if isinstance(value, dict):
        # A list or mapping is YAML; anything else is a single scalar, colons included.
        value[last] = parse_yaml(text, where).value if text.startswith(("{", "[")) else parse_scalar(text)
    else:
        raise InputError(Problem(where, "no such place in the scenario", "give a path like phases.steady.duration"))


def _item(value: Any, part: str) -> Any:
    """An item of a list by its `name`, or by its number from 0."""
    if not isinstance(value, list):
        return None
    named = [item for item in value if isinstance(item, dict) and item.get("name") == part]
    if named:
        return named[0]
    return value[int(part)] if part.isdecimal() and int(part) < len(value) else None
