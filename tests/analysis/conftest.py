"""What tests of the analysis share."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from analysis.report.drawing import Drawing


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without their charts, which take most of a report's time; for tests that look at other things."""
    monkeypatch.setattr(Drawing, "svg", lambda *_: Markup())
