"""YAML that can't be misread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.errors import InputError
from loadproof.scenario.document import format_path, parse_scalar, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        ("2026-11-23", "2026-11-23"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("12", 12),
        ("-1.5", -1.5),
        ("'12'", "12"),
    ],
)
def test_everything_but_the_core_types_stays_text(text, value):
    """YAML 1.1's surprises stay text."""
    assert parse_yaml(f"a: {text}", "f").value == {"a": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "f:2:1: duplicate key, got 'a'"),
        ("a: &x 1\nb: *x", "an anchor is not allowed"),
        ("a: !!python/object:os.system x", "a tag is not allowed"),
        ("a: 1\n---\nb: 2", "a second document"),
        ("[" * 30, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ("a: [1", "not YAML"),
        ("a: \x00", "a character that YAML doesn't allow"),
        ("? [1]\n: 2", "a key must be plain text"),
        ("", "the file is empty"),
        ("# nothing", "the file is empty"),
        ("a" * 2_000_000, "too large"),
        ("%YAML 9.9\n---\na: 1", "not YAML"),
    ],
)
def test_ambiguous_or_harmful_yaml_is_refused_with_its_place(text, message):
    """Duplicate keys, aliases, tags, depth, size, syntax."""
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "f")
    assert message in str(caught.value)


def test_all_refusals_are_reported_at_once():
    """Two anchors and a tag: three lines."""
    with pytest.raises(InputError) as caught:
        parse_yaml("a: &x 1\nb: &y 2\nc: !t 3", "f")
    assert len(caught.value.problems) == 3


@given(st.text(max_size=80))
def test_any_text_gives_a_value_or_an_input_error(text):
    """InputError with a one-line message each, or a value."""
    try:
        parse_yaml(text, "f")
    except InputError as error:
        for problem in error.problems:
            assert str(problem).isprintable()


def test_positions_are_looked_up_by_path():
    """File, line and column; a missing key has the position of its parent."""
    document = parse_yaml("a: 1\nb:\n  - c: 2\n", "f.yaml")
    assert document.where(("b", 0, "c")) == "f.yaml:3:8 b[0].c"
    assert document.where(("b", 0, "missing")) == "f.yaml:3:5 b[0].missing"
    assert document.where(()) == "f.yaml:1:1"
    assert format_path(("b", 0, "c")) == "b[0].c"


@pytest.mark.parametrize(("text", "value"), [("10", 10), ("10 s", "10 s"), ("true", True), ("", None), ("{", "{")])
def test_a_single_scalar_is_read_as_in_a_file(text, value):
    """For --set on the command line."""
    assert parse_scalar(text) == value
