import json
import shutil

import numpy as np
import PIL.Image
import pytest

from hmean.data.folds import fold_of
from hmean.data.pages import LabelledImages, join_pages, shared_images
from hmean.errors import InputError
from hmean.labels.formats import open_labels


def test_images_may_lie_in_a_folder_named_like_the_label_file(receipts, pages, tmp_path):
    shutil.copytree(receipts / "images", tmp_path / "train")
    nested = LabelledImages(pages.labels, tmp_path, pages.indices)
    assert nested.file(0) == tmp_path / "train" / pages.name(0)
    assert nested.fingerprint() == pages.fingerprint()


def test_a_page_of_another_size_is_refused(pages):
    page = pages.page(0)
    assert pages.pixels(0, page).width == page.width
    other = next(pages.page(i) for i in range(len(pages)) if pages.page(i).height != page.height)
    with pytest.raises(InputError, match=f"the labels say {other.width} x {other.height}"):
        pages.pixels(0, other)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_polygons_are_not_turned_again(tmp_path, orientation):
    picture = np.full((24, 40, 3), 255, np.uint8)
    picture[:12, :10] = 0
    (tmp_path / "labels.json").write_text(
        '{"images": {"a.png": {"img_w": 40, "img_h": 24, "words": {"1": {"points": [[0,0],[10,0],[10,12],[0,12]]}}}}}'
    )
    stored = PIL.Image.fromarray(picture).transpose(PIL.Image.Transpose({3: 3, 6: 2, 8: 4}[orientation]))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    pages = LabelledImages(open_labels(tmp_path / "labels.json", tmp_path), tmp_path, [0])
    page = pages.page(0)
    image = pages.pixels(0, page).image
    (x0, y0), (x1, y1) = page.polygons[0].min(axis=0).astype(int), page.polygons[0].max(axis=0).astype(int)
    assert (image[y0:y1, x0:x1] == 0).all()


def test_a_fingerprint_knows_names_and_order_and_a_key_only_the_page(receipts, pages, tmp_path):
    keys = pages.page_keys()
    assert len(set(keys.tolist())) == len(pages)
    backwards = LabelledImages(pages.labels, pages.image_path, pages.indices[::-1])
    assert backwards.page_keys().tolist() == keys[::-1].tolist()
    assert backwards.fingerprint() != pages.fingerprint()
    name = pages.name(0)
    (tmp_path / "jsons").mkdir()
    (tmp_path / "images").mkdir()
    text = (receipts / "jsons" / "train.json").read_text().replace(name, "renamed.jpg")
    (tmp_path / "jsons" / "train.json").write_text(text)
    shutil.copy(pages.file(0), tmp_path / "images" / "renamed.jpg")
    renamed = LabelledImages(open_labels(tmp_path / "jsons" / "train.json", tmp_path), tmp_path / "images", [0])
    assert renamed.page_keys()[0] == keys[0]
    assert renamed.fingerprint() != LabelledImages(pages.labels, pages.image_path, [0]).fingerprint()


def test_a_page_with_a_star_has_the_key_of_earlier_versions_which_ignored_it(tmp_path):
    def pages(text, *, illegible):
        word = {"points": [[1, 1], [9, 1], [9, 5], [1, 5]], "transcription": text, "illegibility": illegible}
        entry = {"img_w": 20, "img_h": 10, "words": {"1": word}}
        (tmp_path / "labels.json").write_text(json.dumps({"images": {"a.png": entry}}))
        return LabelledImages(open_labels(tmp_path / "labels.json", tmp_path), tmp_path, [0])

    (tmp_path / "a.png").write_bytes(b"12345")
    earlier = pages("*", illegible=True)
    key, fingerprint = earlier.page_keys(), earlier.fingerprint()
    now = pages("*", illegible=False)
    assert now.page_keys().tolist() == key.tolist()
    assert now.fingerprint() != fingerprint  # they are not scored alike
    assert pages("x", illegible=False).page_keys().tolist() != pages("x", illegible=True).page_keys().tolist()


def test_folds_of_a_data_set_share_no_image(sroie):
    labels = open_labels(sroie / "labels.json", sroie / "images")
    folds = fold_of(labels.names, labels.groups, 5, 42)

    def part(fold, *, inside):
        indices = [i for i, of in enumerate(folds) if (of == fold) == inside]
        return LabelledImages(labels, sroie / "images", indices)

    train, val = part(0, inside=False), part(0, inside=True)
    assert len(train) + len(val) == 496
    assert shared_images(train, val) == []
    assert {train.page(i).group for i in range(len(train))}.isdisjoint({val.page(i).group for i in range(len(val))})
    assert shared_images(train, part(1, inside=True)) != []


def test_pages_of_several_label_files_are_one_set_in_their_order(receipts, pages):
    """Some of the one, all of the other; names, labels, images and keys stay those of each."""
    val = LabelledImages(open_labels(receipts / "jsons/val.json", pages.image_path), pages.image_path, [0, 1, 2])
    some = LabelledImages(pages.labels, pages.image_path, [4, 1])
    joined = join_pages([some, val])
    assert [joined.name(i) for i in range(5)] == [part.name(i) for part in (some, val) for i in range(len(part))]
    assert joined.page_keys().tolist() == [*some.page_keys(), *val.page_keys()]
    assert joined.page(3).texts == val.page(1).texts
    assert joined.labels.groups == [*pages.labels.groups, *val.labels.groups]
    assert joined.labels.file_of(len(pages)) == receipts / "jsons/val.json"


def test_images_of_a_joined_set_may_lie_in_folders_named_like_its_label_files(receipts, pages, tmp_path):
    for split in ("train", "val"):
        shutil.copytree(receipts / "images", tmp_path / split)
    val = LabelledImages(open_labels(receipts / "jsons/val.json", tmp_path), tmp_path, [1])
    joined = join_pages([LabelledImages(pages.labels, tmp_path, [0]), val])
    assert joined.file(0) == tmp_path / "train" / joined.name(0)
    assert joined.file(1) == tmp_path / "val" / joined.name(1)


def test_sets_may_have_their_images_in_folders_of_their_own(receipts, pages, tmp_path):
    shutil.copytree(receipts / "images", tmp_path / "elsewhere")
    val = LabelledImages(open_labels(receipts / "jsons/val.json", tmp_path), tmp_path / "elsewhere", [1, 0])
    joined = join_pages([LabelledImages(pages.labels, pages.image_path, [2]), val])
    assert joined.parts == [1, 2]
    assert [joined.file(i) for i in range(3)] == [pages.file(2), val.file(0), val.file(1)]
    assert joined.pixels(1, joined.page(1)).image.shape[0] == val.page(0).height


def test_two_images_of_one_name_are_not_joined(pages, tmp_path):
    elsewhere = LabelledImages(pages.labels, tmp_path, [0])
    with pytest.raises(InputError, match=f"{pages.name(0)}: an image of this name is in .* rename one of them"):
        join_pages([pages, elsewhere])
