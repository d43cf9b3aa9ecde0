"""The same as ``hmean report``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["report", *sys.argv[1:]]))
