"""The same as ``hmean predict``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["predict", *sys.argv[1:]]))
