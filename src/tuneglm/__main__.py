"""`python -m tuneglm`: the command line."""

from tuneglm.cli import main

main()
