import pytest

from hmean.data.pages import LabelledImages
from hmean.labels.formats import open_labels


@pytest.fixture
def pages(receipts):
    """The training pages of the drawn receipts."""
    labels = open_labels(receipts / "jsons" / "train.json", receipts / "images")
    return LabelledImages(labels, receipts / "images", range(len(labels.names)))
