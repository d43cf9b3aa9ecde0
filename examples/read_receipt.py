"""Read a receipt: hmean finds the words, the recogniser of rapidocr reads them, line by line.

usage: python examples/read_receipt.py photo.jpg [model.onnx]
needs: pip install hmean rapidocr onnxruntime
"""

from __future__ import annotations

import sys
from pathlib import Path

from rapidocr import RapidOCR

import hmean
from hmean.images import read_image
from hmean.inference.reading import crops, reading_order


def main() -> None:
    """Print the text of a page."""
    image = read_image(Path(sys.argv[1]))
    found = hmean.load(sys.argv[2] if len(sys.argv) > 2 else "receipts-lite")(image)
    words = crops(image, found)
    reader = RapidOCR(params={"Global.log_level": "error"})
    texts = [reader(word[:, :, ::-1], use_det=False, use_cls=False, use_rec=True).txts[0] for word in words]
    for line in reading_order(found.polygons):
        print(" ".join(texts[i] for i in line))


if __name__ == "__main__":
    main()
