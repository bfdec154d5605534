"""``python -m filterscope``, also ``torchrun -m filterscope``: the command line."""

import sys

from filterscope.cli import main

if __name__ == "__main__":
    sys.exit(main())
