"""`python -m harness` is `bench`, for a Python whose scripts are not on the path."""

from __future__ import annotations

import sys

from harness.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
