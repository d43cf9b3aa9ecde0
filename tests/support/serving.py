"""A detector for tests of the service."""

import threading

import numpy as np

from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections, Polygons


class Fake:
    """Finds the whole image, scored by its mean grey; fails on pages that are red, waits while ``go`` is not set."""

    def __init__(self):
        self.params = PostprocessParams(unclip="inverse")
        self.calls, self.go, self.busy = [], threading.Event(), threading.Event()
        self.go.set()

    def detect(self, images, params=None):
        self.calls.append((len(images), params))
        self.busy.set()
        assert self.go.wait(20)
        if any(image[0, 0].tolist() == [255, 0, 0] for image in images):
            raise RuntimeError("red")
        corners = [[[0, 0], [i.shape[1], 0], [i.shape[1], i.shape[0]], [0, i.shape[0]]] for i in images]
        return [Detections(Polygons.of([c]), np.array([i.mean() / 255])) for c, i in zip(corners, images, strict=True)]
