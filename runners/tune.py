"""The same as ``hmean tune``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["tune", *sys.argv[1:]]))
