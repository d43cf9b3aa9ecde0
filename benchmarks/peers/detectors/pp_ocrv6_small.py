"""PP-OCRv6 small as RapidOCR has it: PaddlePaddle's detector (Apache-2.0) in ONNX Runtime."""
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "rapidocr==3.10.0", "onnxruntime==1.32.0", "numpy==2.4.6", "opencv-python-headless==5.0.0.93", "pyclipper==1.4.0",
#   "shapely==2.2.0", "omegaconf==2.3.1", "antlr4-python3-runtime==4.9.3", "PyYAML==6.0.3", "pillow==13.0.0", "tqdm==4.70.1",
#   "requests==2.34.2", "urllib3==2.8.0", "idna==3.20", "certifi==2026.10.18",
#   "charset-normalizer==3.5.2", "six==1.17.0", "colorlog==6.12.0",
# ]
# [tool.leaderboard]
# title = "PP-OCRv6 small, RapidOCR"
# kind = "maps"
# input = "short side at least 736"
# postprocess = { thresh = 0.3, box_thresh = 0.5, unclip = "ratio", unclip_ratio = 1.6, max_candidates = 1000 }
# ///

from __future__ import annotations

from typing import Any

import runner


def make(threads: int) -> runner.Detector:
    """RapidOCR's detection with its own post-processing."""
    from rapidocr import RapidOCR  # noqa: PLC0415 - after the threads are set

    engine = RapidOCR(params={"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": threads})
    detector = engine._load_det_model()  # noqa: SLF001 - called whole, it would read the text, too
    session = runner.KeepsLast(detector.session)
    detector.session = session

    def detect(image: Any) -> runner.Found:
        found = detector(image)
        boxes = [] if found.boxes is None else found.boxes
        return runner.Found(boxes, found.scores or [], session.last[0, 0])

    return detect


if __name__ == "__main__":
    runner.main(make)
