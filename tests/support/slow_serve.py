"""``hmean serve`` whose detector waits until the file GO is there, and whose patience with silent clients is short."""

import os
import sys
import time
from pathlib import Path

from hmean import cli
from hmean.commands import serve
from support.serving import Fake


class Slow(Fake):
    def detect(self, images, params=None):
        while images[0].shape != (64, 64, 3) and not Path(os.environ["GO"]).exists():  # that of the start
            time.sleep(0.01)
        return super().detect(images, params)


serve.load = lambda *_, **__: Slow()
serve.IDLE_S = 1
sys.exit(cli.main(["serve", *sys.argv[1:]]))
