"""A starved generator is INVALID, a slow target never: experiments of bench/starvation.py, once."""

from __future__ import annotations

import pytest

from bench.starvation import EXPERIMENTS, is_right, perform

pytestmark = [pytest.mark.process, pytest.mark.quiet]


ONCE = ("busy loops on the generator's core", "generator stopped for 2 s", "target stopped for 2 s")
"""A killed worker is in test_distributed.py."""


@pytest.mark.parametrize("name", ONCE)
def test_the_verdict_tells_whose_fault_it_was(name):
    """`make bench-starvation` does each of them 20 times."""
    verdict = perform(EXPERIMENTS[name])
    assert is_right(EXPERIMENTS[name], verdict), verdict["reason"]
