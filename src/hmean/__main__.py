"""``python -m hmean``: the command, also where its script is not on the path."""

import sys

from hmean.cli import main

sys.exit(main())
