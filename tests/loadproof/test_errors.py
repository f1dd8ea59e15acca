"""Messages show what people have to recognise, and no more of the rest than a line holds."""

from __future__ import annotations

from loadproof.errors import Problem, excerpt


def shown(got: str) -> str:
    return str(Problem("here", "wrong", "mend it", got=got)).removeprefix("here: wrong, got ").removesuffix("; mend it")


def test_a_path_is_shown_to_its_end():
    """And so are URLs and names: the end is what tells them apart."""
    path = "/builds/" + "some-team/" * 12 + "locustfile.py"
    assert shown(path) == f"'{path}'"


def test_what_is_longer_than_any_path_loses_its_middle():
    """Both ends stay, on one line, in quotes."""
    text = shown("http://127.0.0.1/" + "x\n" * 5000 + "/end")
    assert text.startswith("'http://127.0.0.1/x\\nx")
    assert text.endswith("x\\n/end'")
    assert len(text) == 300
    assert text.count("…") == 1


def test_content_of_others_files_is_shown_by_its_beginning():
    """However long a line of it is."""
    assert (excerpt("a,b"), excerpt("a," * 5000)) == ("a,b", "a," * 39 + "a…")
