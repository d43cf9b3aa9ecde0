"""The detector that comes with hmean, and RapidOCR's at its defaults, on the same pages: scores, damage, time.

usage: python benchmarks/box.py DATA/sroie DATA/receipts_de outputs/receipts_lite_box [EIGHT_BITS.xml]

The last is what hmean export precision=int8 made of the run, with its loss on the validation pages; its time is measured too.

Writes docs/results/receipts_lite_box.{json,md} and the README's table. Values that were chosen on SROIE's validation pages are replaced there by
cross-fitted ones (receipts_lite_sroie.py); RapidOCR's defaults and all values on receipts_de were chosen on other pages.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import harness
import numpy as np
from rapidocr import RapidOCR
from receipts_lite_sroie import AXES, OBJECTIVE, ROOT, maps_of, markdown, row

import hmean
from hmean.data.views import PageView
from hmean.files import read_json, write_json, write_text
from hmean.geometry import Image
from hmean.images import Pixels, read_image
from hmean.inference.bundled import BUNDLED
from hmean.metrics.intervals import hmean_intervals
from hmean.metrics.scorer import Scorer
from hmean.settings.build import open_dataset
from hmean.settings.sections import Dataset, Folds
from hmean.tuning.choose import choose
from hmean.tuning.crossfit import crossfit_settings
from hmean.tuning.grid import make_grid
from hmean.tuning.scores import score_settings
from hmean.types import Detections, Page, Polygons

VAL = "{k: 5, fold: 0, part: val, seed: 42}"
THREADS = 2
DAMAGED = 40  # pages of the curves of damage: every one takes both detectors many times
Finder = Callable[[Image], Detections]


def rapidocr() -> Finder:
    """RapidOCR's detection as it comes."""
    engine = RapidOCR(params={"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": THREADS})
    detector = engine._load_det_model()  # noqa: SLF001 - called whole, it would cut out every word too

    def find(image: Image) -> Detections:
        found = detector(np.ascontiguousarray(image[:, :, ::-1]))
        if found.boxes is None or not len(found.boxes):
            return Detections.empty()
        return Detections(Polygons.of(np.asarray(found.boxes, np.float64)), np.asarray(found.scores, np.float32))

    return find


def turned(degrees: float) -> Callable[[Image, Page], tuple[Image, Page]]:
    """The page turned about its middle, on a larger white sheet."""

    def damage(image: Image, page: Page) -> tuple[Image, Page]:
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        width, height = (math.ceil(c * a + s * b) for a, b in ((page.width, page.height), (page.height, page.width)))
        x, y = page.width / 2, page.height / 2
        matrix = np.array([[c, -s, width / 2 - c * x + s * y], [s, c, height / 2 - s * x - c * y], [0, 0, 1]])
        view = PageView(matrix, width, height)
        drawn = view.image(Pixels(image, page.width, page.height), (255, 255, 255))
        return drawn, replace(page, width=width, height=height, polygons=view.polygons(page.polygons))

    return damage


def jpeg(quality: int) -> Callable[[Image, Page], tuple[Image, Page]]:
    """The page saved again."""
    return lambda image, page: (
        cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR),
        page,
    )


DAMAGES: dict[str, Callable[[Image, Page], tuple[Image, Page]]] = {
    "none": lambda image, page: (image, page),
    **{f"turned by {degrees} degrees": turned(degrees) for degrees in (2, 5, 10)},
    **{f"blur, sigma {s:g} px": lambda image, page, s=s: (cv2.GaussianBlur(image, (0, 0), s), page) for s in (1, 2, 3)},
    **{f"JPEG quality {quality}": jpeg(quality) for quality in (30, 10)},
}


def labelled(data: Path, folds: Folds | None) -> Iterator[tuple[Image, Page]]:
    """Images and labels of one part of a data set."""
    pages = open_dataset(
        Dataset(image_path=str(data / "images"), annotation_path=str(data / "labels.json"), folds=folds)
    )
    for i in range(len(pages)):
        yield read_image(pages.file(i)), pages.page(i)


def score(find: Finder, pages: Iterator[tuple[Image, Page]]) -> dict[str, Any]:
    """Scores of a detector, with intervals."""
    scorer = Scorer("transcription")
    for image, page in pages:
        scorer.update(page, find(image))
    return {**scorer.compute().to_dict(), "interval95": hmean_intervals(scorer.pages)}


def cross_fitted(sroie: Path, side: int, folder: Path) -> dict[str, Any]:
    """The model in the box on SROIE's validation pages, each with values chosen on other shops' pages."""
    store, truth, preset = maps_of(BUNDLED["receipts-lite"], sroie, VAL, side, folder / f"maps_box_{side}")
    names, settings = [page.name for page in truth], make_grid(preset, AXES)
    scores = score_settings(truth, lambda page: store.read(page.name), settings, "transcription", threads=THREADS)
    found = crossfit_settings(scores, names, [page.group for page in truth], 5, lambda part: choose(part, OBJECTIVE))
    assert found is not None
    values = [setting.to_dict() for setting in found.chosen]
    about = {"pages": "SROIE validation", "long_side": side, "values": "receipts-lite, cross-fitted"}
    return row(found.scores, names, {**about, "postprocess": values})


def main() -> None:
    """Measure and write."""
    sroie, german, run = map(Path, sys.argv[1:4])
    part = Folds(k=5, seed=42, fold=0, split="val")
    ours, theirs = hmean.load("receipts-lite", threads=THREADS), rapidocr()
    rows = [cross_fitted(sroie, side, run) for side in (640, 960)]
    other = {"pages": "SROIE validation", "long_side": "its own", "values": "RapidOCR, defaults"}
    rows.append({**other, **score(theirs, labelled(sroie, part))})
    other["pages"] = "receipts_de"
    rows.append(
        {**other, "long_side": 960, "values": "receipts-lite, as it comes", **score(ours, labelled(german, None))}
    )
    rows.append({**other, **score(theirs, labelled(german, None))})
    print(markdown(rows), flush=True)

    some = list(labelled(sroie, part))[:DAMAGED]
    damages = []
    for name, damage in DAMAGES.items():
        pair = [score(find, (damage(image, page) for image, page in some)) for find in (ours, theirs)]
        damages.append({"damage": name, "receipts-lite": pair[0], "RapidOCR": pair[1]})
        print(name, *(f"{100 * one['cleval']['macro']['h']:.2f}" for one in pair), flush=True)
    files = [image for image, _ in some[:20]]
    speed = harness.compare(
        "a page, image to boxes", "RapidOCR's detection", files, ours, theirs, exact="the scores above", rounds=3
    )
    eight = None
    if sys.argv[4:]:
        small = hmean.load(sys.argv[4], threads=THREADS)
        ratio = harness.compare("a page, int8", "RapidOCR's detection", files, small, theirs, exact="", rounds=3)
        eight = {"loss": small.metadata.loss.to_json(), "speed": vars(ratio)}
    manifest, epochs = read_json(run / "manifest.json"), (run / "metrics.jsonl").read_text().splitlines()
    result = {
        "command": "bash scripts/train_box_model.sh DATA/sroie; python benchmarks/box.py DATA/sroie DATA/receipts_de RUN",
        "note": note.read_text(encoding="utf-8").strip() if (note := run / "NOTE.txt").exists() else "",
        "seed": manifest["seed"], "epochs": len(epochs), "minutes": round(sum(json.loads(line)["seconds"] for line in epochs) / 60), "model": ours.metadata.provenance.to_json(), "postprocess": ours.params.to_dict(),
        "bytes": BUNDLED["receipts-lite"].stat().st_size, "rows": rows, "damages": damages, "speed": vars(speed), "int8": eight,
        "environment": harness.environment("numpy", "onnxruntime", "opencv-python-headless", "rapidocr"),
    }  # fmt: skip
    write_json(ROOT / "docs/results/receipts_lite_box.json", result)
    write_text(ROOT / "docs/results/receipts_lite_box.md", card(result))
    begin, end = "<!-- results:begin -->", "<!-- results:end -->"
    before, _, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(begin)
    write_text(ROOT / "README.md", f"{before}{begin}\n{markdown(rows)}{end}{rest.partition(end)[2]}")


def cell(scores: dict[str, Any], name: str) -> str:
    """A hmean with its interval, percent."""
    h = scores["cleval"]["macro"]["h"] if name == "macro" else scores[name]["h"]
    low, high = scores["interval95"][name]
    return f"{100 * h:.2f} [{100 * low:.2f}, {100 * high:.2f}]"


def in_8_bits(result: dict[str, Any] | None) -> str:
    """What quantising the model costs and gains."""
    if result is None:
        return ""
    loss, speed = result["loss"], result["speed"]
    differences = ", ".join(
        f"{name} {100 * loss[name]['difference']:+.2f} [{100 * loss[name]['interval95'][0]:+.2f}, {100 * loss[name]['interval95'][1]:+.2f}]"
        for name in ("macro", "iou50", "iou70")
    )
    return f"""
In 8 bits on OpenVINO (`hmean export run=... precision=int8 format=openvino`), against single precision on {loss["pages"]} pages of
SROIE validation, in points of H: {differences}. RapidOCR's time is **{speed["ratio"]:.1f}**
times its [{speed["low"]:.1f}, {speed["high"]:.1f}].
"""


def card(result: dict[str, Any]) -> str:
    """The model card."""
    speed = result["speed"]
    damages = "\n".join(
        f"| {one['damage']} | "
        + " | ".join(cell(one[who], n) for n in ("macro", "iou50") for who in ("receipts-lite", "RapidOCR"))
        + " |"
        for one in result["damages"]
    )
    return f"""# receipts-lite: the detector that comes with hmean

Written by `benchmarks/box.py`; do not edit.

- **What**: finds segments of lines of printed text (columns of one row apart) on receipts, as four-cornered outlines. DBNet,
  EfficientNet-Lite0 encoder (ImageNet weights, Apache-2.0), {result["bytes"] / 1e6:.1f} MB, weights in half precision, long side 960.
- **Trained on**: SROIE's training shops (ICDAR 2019, CC BY 4.0; four fifths of the shops of the development part) and 240
  synthetic receipts (`hmean data synth`), {result["epochs"]} epochs, {result["minutes"]} minutes, seed {result["seed"]}: `bash scripts/train_box_model.sh DATA/sroie`.
  {result["note"]}
- **Licence**: of the weights as of hmean; SROIE asks for attribution.
- **What it cannot do**: curved text, handwriting, photos of scenes, single words apart (it was taught segments, which is why IoU on
  word labels such as receipts_de's is low where CLEval is not), scripts other than Latin (never tried).

Percent, 95 % bootstrap interval over pages. CLEval with characters by transcription. On SROIE validation (shops it never saw)
its thresholds are cross-fitted; it carries those chosen on all of these pages.

{markdown(result["rows"])}
Damaged pages ({DAMAGED} of SROIE validation; receipts-lite with the values it carries, which these pages helped to choose):

| damage | macro H, receipts-lite | macro H, RapidOCR | IoU50 H, receipts-lite | IoU50 H, RapidOCR |
|---|---|---|---|---|
{damages}

Time from image to boxes, {THREADS} threads each, in turn on 20 pages: RapidOCR's is **{speed["ratio"]:.1f}** times ours
[{speed["low"]:.1f}, {speed["high"]:.1f}] (median, 5th and 95th percentile of {speed["pairs"]} pairs).
{in_8_bits(result["int8"])}
{harness.words(result["environment"])}
"""


if __name__ == "__main__":
    main()
