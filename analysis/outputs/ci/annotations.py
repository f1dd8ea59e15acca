"""Formats GitHub's workflow commands."""

from __future__ import annotations

from loadproof.errors import escaped


def workflow_command(kind: str, title: str, message: str) -> str:
    """An annotation; `kind` is error or warning.

    Source: GitHub Docs, Workflow commands for GitHub Actions (escapes as in actions/toolkit's command.ts).
    """
    escapes = {"%": "%25", "\r": "%0D", "\n": "%0A"}

    def quoted(text: str, more: dict[str, str]) -> str:
        return "".join({**escapes, **more}.get(character, character) for character in escaped(text))

    return f"::{kind} title={quoted(title, {':': '%3A', ',': '%2C'})}::{quoted(message, {})}"
