"""One data set of SROIE's training shops and synthetic receipts: images/ (links), jsons/{train,val}.json under OUT.

Usage: python benchmarks/box_data.py DATA/sroie OUT [pages=240]
"""

import sys
from pathlib import Path

from hmean.files import read_json
from hmean.labels.ufo import write_ufo
from hmean.settings.build import open_dataset
from hmean.settings.sections import Dataset, Folds
from hmean.synth.dataset import write_dataset


def main(sroie: Path, out: Path, pages: int = 240) -> None:
    """Lines as SROIE labels them; validation is the fifth of SROIE's shops that no training page is of."""
    drawn = out / "synthetic"
    if not (drawn / "jsons" / "train.json").exists():
        write_dataset(drawn, train=pages, val=0, test=0, seed=7, level="line", long_side=(640, 1280), overwrite=True)
    (out / "images").mkdir(parents=True, exist_ok=True)
    labels = read_json(sroie / "labels.json")["images"]
    synthetic = read_json(drawn / "jsons" / "train.json")["images"]
    for folder, names in ((sroie / "images", labels), (drawn / "images", synthetic)):
        for name in names:
            source, link = folder / name, out / "images" / name
            source = source if source.exists() else folder / "train" / name
            if not link.is_symlink():
                link.symlink_to(source.resolve())
    for part in ("train", "val"):
        folds = Folds(k=5, seed=42, fold=0, split=part)
        opened = open_dataset(
            Dataset(image_path=str(sroie / "images"), annotation_path=str(sroie / "labels.json"), folds=folds)
        )
        own = [(opened.labels.names[i], labels[opened.labels.names[i]]) for i in opened.indices]
        write_ufo(out / "jsons" / f"{part}.json", iter(own + (list(synthetic.items()) if part == "train" else [])))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
