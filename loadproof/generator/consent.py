"""Compares what a master asks of a worker with what the worker's owner allowed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from loadproof.errors import Problem, UnsafeTargetError
from loadproof.scenario.safety import allowed_variables
from loadproof.scenario.targetauth import check_hosts
from loadproof.scenario.targetfile import DEFAULT_SECRET_VARIABLE
from loadproof.scenario.targetvariables import named_variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.rundir.manifest import Manifest


def refusals(manifest: Manifest) -> Iterator[Problem]:
    """Why this process must not take part.

    A host that it may not load, variables that it may not read or doesn't have.
    """
    target = manifest.target
    try:
        check_hosts(target)
    except UnsafeTargetError as error:
        yield from error.problems
    allowed = allowed_variables()
    for place, variable in named_variables(target, set(manifest.scenario.mix)):
        is_set = bool(os.environ.get(variable))
        if variable == DEFAULT_SECRET_VARIABLE and not is_set:
            # The reference API's development key, which is not secret.
            continue
        if variable not in allowed:
            remedy = f"if the target may have its value, start the worker with --allow-variable {variable}"
            yield Problem(f"target {place}", "the worker may not read this environment variable", remedy, got=variable)
        elif not is_set:
            yield Problem(f"target {place}", f"the worker's environment variable {variable} is not set", "set it there")
