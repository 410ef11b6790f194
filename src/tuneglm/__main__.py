"""`tuneglm` and `python -m tuneglm`: the command line, which may be left while it is imported."""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run what was typed."""
    try:
        from tuneglm.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
