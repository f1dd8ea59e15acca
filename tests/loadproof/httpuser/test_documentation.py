"""The page about HttpUser agrees with the code."""

from __future__ import annotations

import re

from tests import unpatched
from tests.commands import ROOT

from loadproof.httpuser.unsupported import documented  # isort: skip

PAGE = (ROOT / "docs/httpuser.md").read_text(encoding="utf-8")


def test_differences_are_documented():
    """Both tables, as in the code."""
    block = re.search(r"<!-- httpuser: [^\n]*-->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    assert block
    assert block[1] == documented()


def test_the_documented_locustfile_works():
    """With the import that the page is about."""
    names: dict[str, type] = {}
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example
    exec(example[1], names)  # noqa: S102 - our own page
    assert issubclass(names["Website"], unpatched.locust.HttpUser)
    assert names["Website"].__bases__[0].__module__ == "loadproof.httpuser.user"
    assert [task.__name__ for task in names["Website"].tasks] == ["browse"]
