"""The same as ``hmean sweep``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["sweep", *sys.argv[1:]]))
