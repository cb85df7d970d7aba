"""`python -m allkit` is the command `allkit`."""

from allkit.cli.main import main

main()
