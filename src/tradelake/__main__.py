"""`python -m tradelake` is the `tradelake` command."""

from tradelake.cli.main import main

main()
