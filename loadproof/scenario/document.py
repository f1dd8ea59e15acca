"""Turns YAML text into plain values with their positions, and refuses whatever a reader could misread.

YAML 1.2's core types only: `on`, `no`, `1:30` and `010` stay text. Duplicate keys, anchors, aliases, tags,
several documents and deep nesting are refused. Source: YAML 1.2.2, section 10.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAG: Final = "tag:yaml.org,2002:"
_MAX_CHARACTERS: Final = 1_000_000
_MAX_DEPTH: Final = 20

YamlPath = tuple[str | int, ...]
"""A position in a document: ('phases', 1, 'duration')."""


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader's parser and composer with the four implicit types of YAML 1.2's core schema."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # the stub has it per instance


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"[-+]?(?:0|[1-9]\d{0,17})", list("-+0123456789")),
    ("float", r"[-+]?(?:0|[1-9]\d{0,17})\.\d{1,17}", list("-+0123456789")),
):
    _CoreLoader.add_implicit_resolver(_TAG + _tag, re.compile(rf"^(?:{_pattern})$", re.ASCII), _first)


class Document:
    """The values of one YAML document, and where each of them is in the file."""

    def __init__(self, value: Any, *, source: str, marks: dict[YamlPath, tuple[int, int]]) -> None:
        self.value = value
        self.source = source
        self._marks = marks

    def where(self, path: YamlPath, *, shown: YamlPath | None = None) -> str:
        """`file:line:column path`; for a path that doesn't exist, the position of its parent.

        `shown` is the path to print, if it is another one.
        """
        known = path
        while known not in self._marks and known:
            known = known[:-1]
        line, column = self._marks.get(known, (1, 1))
        return f"{self.source}:{line}:{column} {format_path(path if shown is None else shown)}".rstrip()


def format_path(path: YamlPath) -> str:
    """('phases', 1, 'duration') as 'phases[1].duration'."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def parse_yaml(text: str, source: str) -> Document:
    """One document; InputError with every place that is refused."""
    if len(text) > _MAX_CHARACTERS:
        raise InputError(Problem(source, "the file is too large", f"keep it under {_MAX_CHARACTERS:,} characters"))
    try:
        problems = list(_refused_events(text, source))
        root = None if problems else yaml.compose(text, Loader=_CoreLoader)
    except yaml.YAMLError as error:
        raise InputError(_syntax_problem(error, source)) from None
    if problems:
        raise InputError(problems)
    if root is None:
        raise InputError(Problem(source, "the file is empty", "write a mapping of keys and values"))
    marks: dict[YamlPath, tuple[int, int]] = {}
    value = _construct(root, path=(), source=source, marks=marks, problems=problems)
    if problems:
        raise InputError(problems)
    return Document(value, source=source, marks=marks)


def parse_scalar(text: str) -> Any:
    """The value of `text` as a YAML scalar: '10' is an int, 'true' a bool, '10 s' text."""
    loader = _CoreLoader("")
    tag = loader.resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return _scalar(ScalarNode(tag, text))


def _refused_events(text: str, source: str) -> Iterator[Problem]:
    """Checked on the event stream, before the composer, which recurses and expands."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_CoreLoader):
        where = _where(event, source)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents == 2:
                yield Problem(where, "a second document", "keep one document per file")
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > _MAX_DEPTH:
                yield Problem(where, "nested too deeply", f"nest at most {_MAX_DEPTH} levels")
                return
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            kind = "an alias" if isinstance(event, yaml.AliasEvent) else "an anchor"
            # Its name isn't shown: a secret that begins with *, & or ! is parsed as an alias, an anchor or a tag.
            yield Problem(where, f"{kind} is not allowed", "write the value out, in quotes if it begins with & or *")
        if getattr(event, "tag", None) is not None:
            yield Problem(where, "a tag is not allowed", "remove it, or put the value in quotes")


def _where(part: yaml.Event | Node, source: str) -> str:
    mark = part.start_mark
    return source if mark is None else f"{source}:{mark.line + 1}:{mark.column + 1}"


def _syntax_problem(error: yaml.YAMLError, source: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        what = ", ".join(filter(None, (error.context, error.problem)))
        return Problem(f"{source}:{mark.line + 1}:{mark.column + 1}", f"not YAML: {what}", "correct the syntax there")
    if isinstance(error, yaml.reader.ReaderError):
        return Problem(source, "a character that YAML doesn't allow", "remove it", got=f"U+{_ordinal(error):04X}")
    return Problem(source, "not YAML", "correct the syntax", got=str(error))


def _ordinal(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character)


def _construct(
    node: Node,
    *,
    path: YamlPath,
    source: str,
    marks: dict[YamlPath, tuple[int, int]],
    problems: list[Problem],
) -> Any:
    marks[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, SequenceNode):
        return [
            _construct(child, path=(*path, index), source=source, marks=marks, problems=problems)
            for index, child in enumerate(node.value)
        ]
    if isinstance(node, ScalarNode):
        return _scalar(node)
    assert isinstance(node, MappingNode)  # noqa: S101 - there is no fourth kind
    mapping: dict[str, Any] = {}
    for key_node, child in node.value:
        key = key_node.value if isinstance(key_node, ScalarNode) else None
        where = _where(key_node, source)
        if key is None:
            problems.append(Problem(where, "a key must be plain text", "write a word as the key"))
        elif key in mapping:
            problems.append(Problem(where, "duplicate key", "keep one of them", got=key))
        else:
            mapping[key] = _construct(child, path=(*path, key), source=source, marks=marks, problems=problems)
    return mapping


def _scalar(node: ScalarNode) -> Any:
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return node.value == "true"
        case "int":
            return int(node.value)
        case "float":
            return float(node.value)
        case _:
            return node.value
