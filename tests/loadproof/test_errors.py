"""Messages show what people have to recognise, and of the rest only what fits on a line."""

from __future__ import annotations

from loadproof.errors import Problem, excerpt


def shown(got: str) -> str:
    return str(Problem("here", "wrong", "mend it", got=got)).removeprefix("here: wrong, got ").removesuffix("; mend it")


def test_a_path_is_shown_to_its_end():
    """So are URLs and names: their ends tell them apart."""
    path = "/builds/" + "some-team/" * 12 + "locustfile.py"
    assert shown(path) == f"'{path}'"


def test_texts_longer_than_any_path_lose_their_middle():
    """Both ends are kept, on one line, in quotes."""
    text = shown("http://127.0.0.1/" + "x\n" * 5000 + "/end")
    assert text.startswith("'http://127.0.0.1/x\\nx")
    assert text.endswith("x\\n/end'")
    assert len(text) == 300
    assert text.count("…") == 1


def test_only_the_beginning_of_other_peoples_content_is_shown():
    """However long its lines are."""
    assert (excerpt("a,b"), excerpt("a," * 5000)) == ("a,b", "a," * 39 + "a…")
