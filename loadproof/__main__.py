"""`python -m loadproof`: the same as the `loadproof` command."""

from loadproof.cli import main

main()
