import pytest

from hmean.errors import InputError
from hmean.labels.formats import FORMATS, images_of, open_labels


def test_a_missing_data_set_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="hmean data synth") as error:
        open_labels(tmp_path / "jsons" / "train.json", tmp_path)
    for label_format in FORMATS:
        assert label_format.format_name in str(error.value)


def test_images_lie_in_images_beside_the_labels_or_right_beside_them(tmp_path):
    labels = tmp_path / "labels.json"
    assert images_of(labels) == tmp_path
    (tmp_path / "images").mkdir()
    assert images_of(labels) == tmp_path / "images"
