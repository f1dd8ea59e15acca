"""A target file's YAML to a checked `TargetFile`: where somebody's own backend is, and which limits it declares."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, StringConstraints

from loadproof.safety import check_base_url
from loadproof.scenario import LimitText  # noqa: TC001 - pydantic resolves it
from loadproof.strictmodel import Name, Strict, read_document, validate

if TYPE_CHECKING:
    from pathlib import Path

URL_VARIABLE: Final = "TARGET_URL"


class TargetFile(Strict):
    base_url: Annotated[str, StringConstraints(max_length=500)]
    limits: dict[Name, LimitText] = Field(
        default_factory=dict, description="Requests that one client may send per endpoint."
    )


def load_target(path: Path | None) -> TargetFile | None:
    """The target to load; TARGET_URL replaces the base URL. None: the embedded one."""
    override = os.environ.get(URL_VARIABLE)
    if path is None:
        if override is None:
            return None
        target, where = TargetFile(base_url=override), URL_VARIABLE
    else:
        document = read_document(path)
        target, where = validate(TargetFile, document), document.where(("base_url",))
        if override is not None:
            target, where = target.model_copy(update={"base_url": override}), URL_VARIABLE
    check_base_url(target.base_url, where)
    return target.model_copy(update={"base_url": target.base_url.rstrip("/")})
