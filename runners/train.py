"""The same as ``hmean train``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["train", *sys.argv[1:]]))
