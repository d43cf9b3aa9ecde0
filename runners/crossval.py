"""The same as ``hmean crossval``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["crossval", *sys.argv[1:]]))
