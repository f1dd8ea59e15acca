"""Serves the application with the arguments on the command line: to back up your own, rewrite this file, too."""

from payments_api.__main__ import main as serve

__all__ = ["serve"]
