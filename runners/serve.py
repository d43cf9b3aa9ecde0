"""The same as ``hmean serve``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["serve", *sys.argv[1:]]))
