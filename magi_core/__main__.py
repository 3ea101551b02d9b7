"""`python -m magi_core`."""

import sys

from magi_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
