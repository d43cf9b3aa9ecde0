"""PP-OCRv4 mobile as RapidOCR had it: PaddlePaddle's detector (Apache-2.0) in ONNX Runtime."""
# /// script
# requires-python = ">=3.11, <3.13"
# dependencies = [
#   "rapidocr-onnxruntime==1.4.4", "onnxruntime==1.32.0", "numpy==2.4.6", "opencv-python-headless==5.0.0.93",
#   "pyclipper==1.4.0", "shapely==2.2.0", "PyYAML==6.0.3", "pillow==13.0.0", "tqdm==4.70.1", "six==1.17.0",
# ]
# [tool.leaderboard]
# title = "PP-OCRv4 mobile, RapidOCR"
# kind = "maps"
# input = "short side at least 736"
# postprocess = { thresh = 0.3, box_thresh = 0.5, unclip = "ratio", unclip_ratio = 1.6, max_candidates = 1000 }
# ///

from __future__ import annotations

from typing import Any

import runner


def make(threads: int) -> runner.Detector:
    """RapidOCR's detection with its own post-processing."""
    from rapidocr_onnxruntime import RapidOCR  # noqa: PLC0415 - after the threads are set

    detector = RapidOCR(intra_op_num_threads=threads).text_det
    network = runner.KeepsLast(detector.infer)
    detector.infer = network

    def detect(image: Any) -> runner.Found:
        boxes, _ = detector(image)
        if boxes is None:
            boxes = []
        return runner.Found(boxes, None, network.last[0][0, 0])

    return detect


if __name__ == "__main__":
    runner.main(make)
