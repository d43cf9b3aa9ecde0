"""The same as ``hmean evaluate``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["evaluate", *sys.argv[1:]]))
