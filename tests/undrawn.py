"""`python -m tests.undrawn`: the `loadproof` command without charts in its reports, which take a second."""

from __future__ import annotations

from unittest import mock

from markupsafe import Markup

from loadproof.cli import app

if __name__ == "__main__":
    with mock.patch("loadproof.analysis.report.drawing.Drawing.svg", return_value=Markup()):
        app.main()
