"""`python -m loadproof`: the same as the `loadproof` command."""

from loadproof.cli.app import main

main()
