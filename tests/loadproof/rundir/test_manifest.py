"""Manifests of earlier runs are read if they still mean the same."""

from __future__ import annotations

import json

import pytest

from loadproof.errors import RunDirectoryError
from loadproof.rundir.manifest import read_manifest
from tests.commands import ROOT


@pytest.mark.parametrize(("client", "is_read"), [("loadproof", True), ("fasthttp", False)])
def test_an_old_run_with_a_choice_of_client_is_read_if_the_client_was_ours(tmp_path, client, is_read):
    """Another client took answers for ok that had been cut off."""
    content = json.loads((ROOT / "tests/golden/pass/manifest.json").read_text())
    content["scenario"]["http_client"] = client
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    if is_read:
        assert read_manifest(tmp_path) == read_manifest(ROOT / "tests/golden/pass")
    else:
        with pytest.raises(RunDirectoryError, match=r"scenario\.http_client"):
            read_manifest(tmp_path)
