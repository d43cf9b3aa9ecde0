"""The same as ``hmean campaign``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["campaign", *sys.argv[1:]]))
