"""COCO: what is particular about it, and that its official reader agrees with ours."""

import contextlib
import io
import json

import numpy as np
import pytest

from hmean.errors import InputError
from hmean.labels.formats import format_of_name, open_labels, write_labels
from support.labels import draw_images, require_same, some_pages


def coco_file(tmp_path, annotations, images=None):
    path = tmp_path / "coco.json"
    images = images or [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def annotation(**values):
    return {"id": 7, "image_id": 1, "category_id": 1, **values}


def test_several_polygons_of_one_word_become_their_convex_hull(tmp_path):
    parts = [[10, 10, 20, 10, 20, 20, 10, 20], [30, 10, 40, 10, 40, 20, 30, 20]]
    page = open_labels(coco_file(tmp_path, [annotation(segmentation=parts, caption="A B")]), tmp_path).page(0)
    assert sorted(page.polygons[0].tolist()) == [[10, 10], [10, 20], [40, 10], [40, 20]]
    assert page.texts == ("A B",)


def test_masks_are_refused_by_name_but_not_those_of_crowds(tmp_path):
    mask = {"counts": "abc", "size": [50, 100]}
    box = [10, 10, 20, 5]
    path = coco_file(
        tmp_path, [annotation(segmentation=mask, bbox=box), annotation(segmentation=mask, bbox=box, iscrowd=1)]
    )
    faults = []
    page = open_labels(path, tmp_path).page(0, faults)
    assert faults == ["a.jpg: word 7: is a mask (RLE), which hmean does not read; export polygons"]
    assert page.ignored.tolist() == [True]
    assert page.polygons[0].tolist() == [[10, 10], [30, 10], [30, 15], [10, 15]]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, "bbox is None, not .left, top, width, height."),
        ({"bbox": [1, 2, "3", 4]}, "bbox is "),
        ({"segmentation": [[1, 2, 3]]}, r"points is not a list of \[x, y\] pairs"),
        ({"segmentation": [[1, 1, 2, 2], [3, 3]]}, "has no area"),
        ({"segmentation": [[1, 1], ["a"]]}, "segmentation is "),
        ({"bbox": [1, 1, 5, 5], "text": 5}, "its text is 5, not a text"),
    ],
)
def test_faults_of_words(tmp_path, values, fault):
    with pytest.raises(InputError, match=rf"a\.jpg: word 7: {fault}"):
        open_labels(coco_file(tmp_path, [annotation(**values)]), tmp_path).page(0)


@pytest.mark.parametrize(
    ("images", "fault"),
    [
        ([{"id": 1, "file_name": "a.jpg"}, {"id": 2}], r"looks like a COCO file, but images\[1\] has no file_name"),
        ([{"id": 1, "file_name": "a.jpg"}] * 2, "two of its images have the same id"),
        (
            [{"id": 5, "file_name": "a.jpg"}],
            r"annotation 7 \(annotations\[0\]\) is of the image 1, which images does not",
        ),
        ([{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}], r"listed twice, first a\.jpg"),
    ],
)
def test_faults_of_files(tmp_path, images, fault):
    with pytest.raises(InputError, match=fault):
        open_labels(coco_file(tmp_path, [annotation(bbox=[1, 1, 5, 5])], images), tmp_path)


def test_images_without_annotations_are_unlabelled(tmp_path):
    path = tmp_path / "images.json"
    path.write_text('{"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}], "categories": []}')
    assert not open_labels(path, tmp_path).page(0).words_known


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_official_reader_opens_our_files_and_we_its(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    pages = some_pages()[:3]
    draw_images(tmp_path / "images", pages)
    write_labels(tmp_path / "ours.json", format_of_name("coco"), pages)
    with contextlib.redirect_stdout(io.StringIO()):
        official = coco.COCO(tmp_path / "ours.json")
    assert [official.imgs[k]["file_name"] for k in official.getImgIds()] == [page.name for page in pages]
    for image_id, page in zip(official.getImgIds(), pages, strict=True):
        annotations = official.loadAnns(official.getAnnIds([image_id]))
        assert [found["iscrowd"] for found in annotations] == page.ignored.tolist()
        for found, polygon in zip(annotations, page.polygons, strict=True):
            mask = official.annToMask(found)
            assert mask.shape == (page.height, page.width)
            assert mask.sum() == pytest.approx(found["area"], rel=0.15)
            assert np.allclose(found["segmentation"][0], polygon.flatten())
    (tmp_path / "theirs.json").write_text(json.dumps(official.dataset))
    require_same(open_labels(tmp_path / "theirs.json", tmp_path / "images"), pages)
