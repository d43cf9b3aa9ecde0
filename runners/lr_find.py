"""The same as ``hmean lr_find``; see its --help."""

import sys

from hmean.cli import main

sys.exit(main(["lr_find", *sys.argv[1:]]))
