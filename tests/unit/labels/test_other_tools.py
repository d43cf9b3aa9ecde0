"""Files of ours in the hands of other tools, and theirs in ours.

The tools pin versions that hmean does not, so they live in an environment of their own, whose Python HMEAN_ORACLES names:
``pip install datumaro datasets hocr-spec`` and ``pip install --no-deps ocrd``.
"""

import json
import os
import subprocess

import numpy as np
import pytest

from hmean.labels.formats import format_of_name, open_labels, write_labels
from support.labels import draw_images, require_same, some_pages

PYTHON = os.environ.get("HMEAN_ORACLES")
pytestmark = pytest.mark.skipif(not PYTHON, reason="HMEAN_ORACLES names no Python with the other tools")
POLYGONS = [polygon.tolist() for polygon in some_pages()[0].polygons]
TEXTS = ['TOTAL, "RM" \\ 5', "é한글", "###", ""]


def run(code, *arguments):
    """What a program prints as JSON in its last line."""
    command = [PYTHON, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().split("\n")[-1])


def written(tmp_path, name, path):
    target = tmp_path / path
    write_labels(target, format_of_name(name), some_pages())
    return target


def test_datumaro_opens_our_cvat_files_and_we_its(tmp_path):
    written(tmp_path, "cvat", "ours/default.xml")
    draw_images(tmp_path / "ours/images", some_pages())
    code = """if True:
        import json, sys, datumaro
        data = datumaro.Dataset.import_from(sys.argv[1], "cvat")
        items = {i.id: [[list(a.points), a.attributes] for a in i.annotations] for i in data}
        data.export(sys.argv[2], "cvat", save_media=False, image_ext=".png")
        print(json.dumps(items))
    """
    items = run(code, tmp_path / "ours", tmp_path / "theirs")
    assert sorted(items) == ["a", "empty", "shop/b b"]
    for (points, attributes), polygon, text in zip(items["a"], POLYGONS, TEXTS, strict=True):
        assert np.allclose(np.reshape(points, (-1, 2)), polygon)
        assert attributes["transcription"] == text
        assert attributes["ignore"] == (text == "###")
    (theirs,) = (tmp_path / "theirs").glob("*.xml")
    pages = open_labels(tmp_path / "ours/default.xml", tmp_path / "ours/images")
    require_same(
        open_labels(theirs, tmp_path / "ours/images"),
        [pages.page(k) for k in range(len(pages.names))],
    )


@pytest.mark.parametrize("name", ["hf", "parquet"])
def test_datasets_opens_our_files(tmp_path, name):
    folder = tmp_path / "data"
    folder.mkdir()
    builder, option = "imagefolder", {"data_dir": str(folder)}
    if name == "hf":
        written(tmp_path, "hf", "data/metadata.jsonl")
        draw_images(folder, some_pages())
    else:
        builder, option = "parquet", {"data_files": str(written(tmp_path, "parquet", "data/labels.parquet"))}
    code = """if True:
        import json, sys, datasets
        data = datasets.load_dataset(sys.argv[1], split="train", cache_dir=sys.argv[2], **json.loads(sys.argv[3]))
        rows = [{key: row[key] for key in ("width", "height", "group", "words", "polygons", "ignore")} for row in data]
        print(json.dumps(rows))
    """
    rows = run(code, builder, tmp_path / "cache", json.dumps(option))
    assert len(rows) == 4
    first = rows[0]
    assert (first["width"], first["height"], first["group"]) == (160, 100, "shop 7")
    assert (first["words"], first["polygons"], first["ignore"]) == (TEXTS, POLYGONS, [False, False, True, False])
    assert [row["words"] is None for row in rows] == [False, False, False, True]


def test_hocr_spec_finds_nothing_wrong(tmp_path):
    files = sorted(written(tmp_path, "hocr", "hocr").rglob("*.hocr"))
    code = """if True:
        import json, sys
        from hocr_spec import HocrValidator
        reports = [HocrValidator(sys.argv[1]).validate(file, parse_strict=False) for file in sys.argv[2:]]
        print(json.dumps([[report.is_valid(), report.format("text")] for report in reports]))
    """
    for is_valid, report in run(code, "standard", *files):
        assert is_valid, report
    assert len(files) == 3


def test_page_files_are_valid_by_the_schema_of_ocrd(tmp_path):
    files = sorted(written(tmp_path, "page", "page").rglob("*.xml"))
    code = """if True:
        import importlib.util, json, sys
        from lxml import etree
        (folder,) = importlib.util.find_spec("ocrd_validators").submodule_search_locations
        schema = etree.XMLSchema(etree.parse(folder + "/page.xsd"))
        print(json.dumps([[schema.validate(etree.parse(file)), str(schema.error_log)] for file in sys.argv[1:]]))
    """
    for is_valid, report in run(code, *files):
        assert is_valid, report
    assert len(files) == 3
