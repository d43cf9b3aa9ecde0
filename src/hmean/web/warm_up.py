"""What takes long the first time, done before the first request."""

from __future__ import annotations

import numpy as np

from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.web.batcher import Detector


def warm_up(detector: Detector) -> None:
    """Compile the kernels, and let the runtime of the network make its plans."""
    compile_kernels()
    blank = np.full((64, 64, 3), 255, np.uint8)
    detector.detect([blank])


def compile_kernels() -> None:
    """Compile the post-processing: half a minute, once an installation."""
    probability = np.zeros((64, 64), np.float32)
    probability[20:40, 10:50] = 1
    page = PageMap("", probability, np.eye(3), 64, 64)
    detect(page, PostprocessParams(use_polygon=False))
    detect(page, PostprocessParams(use_polygon=True))
