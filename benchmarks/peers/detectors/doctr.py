"""docTR's text detector (Apache-2.0) with the weights that it downloads."""
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "python-doctr==1.1.0", "numpy==2.4.6", "opencv-python-headless==5.0.0.93", "scipy==1.17.1", "pillow==13.0.0",
#   "shapely==2.2.0", "pyclipper==1.4.0", "h5py==3.16.0", "pypdfium2==5.15.2", "langdetect==1.0.9", "rapidfuzz==3.14.6",
#   "defusedxml==0.7.1", "anyascii==0.3.3", "validators==0.36.0", "huggingface-hub==1.3.0", "tqdm==4.70.1", "six==1.17.0",
# ]
# [tool.leaderboard]
# borrow = true  # torch and torchvision from the environment of hmean: their own copy would be gigabytes
# title = "fast_base, docTR"
# kind = "boxes"
# input = "1024 x 1024"
# ///

from __future__ import annotations

import runner


def make(threads: int) -> runner.Detector:
    """The detector of docTR's default predictor: upright words."""
    import torch  # noqa: PLC0415 - after the threads are set
    from doctr.models import detection_predictor  # noqa: PLC0415

    torch.set_num_threads(threads)
    with runner.downloading():
        predictor = detection_predictor("fast_base", pretrained=True)
    return runner.of_fractions(lambda image: predictor([image])[0])


if __name__ == "__main__":
    runner.main(make)
