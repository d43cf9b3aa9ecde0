"""The words of Tesseract 5 (Debian's tesseract-ocr, Apache-2.0) with the language data that comes with it."""
# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "opencv-python-headless==5.0.0.93"]
# [tool.leaderboard]
# title = "Tesseract 5"
# kind = "boxes"
# input = "the page as it is"
# program = "tesseract"
# ///

from __future__ import annotations

import csv
import io
import subprocess
from typing import Any

import cv2
import runner

WORD = "5"  # level of a row of Tesseract's table


def make(_: int) -> runner.Detector:
    """Whole pages; the words that have a text are the boxes."""

    def detect(image: Any) -> runner.Found:
        _, png = cv2.imencode(".bmp", image)
        command = ["tesseract", "stdin", "stdout", "-l", "eng", "tsv"]
        answer = subprocess.run(command, input=png.tobytes(), capture_output=True, check=True)
        rows = csv.DictReader(io.StringIO(answer.stdout.decode()), delimiter="\t", quoting=csv.QUOTE_NONE)
        boxes = []
        scores = []
        for row in rows:
            if row["level"] != WORD or not row["text"].strip():
                continue
            x, y, w, h = (int(row[key]) for key in ("left", "top", "width", "height"))
            boxes.append([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
            scores.append(float(row["conf"]) / 100)
        return runner.Found(boxes, scores)

    return detect


if __name__ == "__main__":
    runner.main(make)
