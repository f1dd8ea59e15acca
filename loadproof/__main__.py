"""`python -m loadproof`: the same as the `loadproof` command, which imports no module from the working directory."""

import sys
from pathlib import Path

if (
    __name__ == "__main__"
    and not sys.flags.safe_path
    and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]
):
    del sys.path[0]

from loadproof.cli.app import main

main()
