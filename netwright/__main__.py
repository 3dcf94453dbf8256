"""`python -m netwright`: the same as the command `netwright`."""

import sys

from netwright.cli.main import run

if __name__ == "__main__":
    sys.exit(run())
