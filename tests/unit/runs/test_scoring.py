"""A prediction file scored against a label file, a few pages at a time."""

import json
import tracemalloc

import numpy as np
import pytest

from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.labels.ufo import write_ufo
from hmean.metrics.scorer import choose_characters, score_pages
from hmean.runs.predictions import read_predictions, write_predictions
from hmean.runs.scoring import score_files
from hmean.types import Detections, Polygons


def words_of(rng, count, text="TOTAL"):
    words = {}
    for k in range(count):
        x, y = rng.integers(0, 900, 2).tolist()
        words[str(k)] = {"points": [[x, y], [x + 60, y], [x + 60, y + 20], [x, y + 20]], "transcription": text}
    return words


def write_files(folder, pages, words, text="TOTAL"):
    """Pages and predictions that are a little off, these in the opposite order."""
    rng = np.random.default_rng(0)
    entries = {}
    for i in range(pages):
        entries[f"{i}.jpg"] = {"img_w": 1000, "img_h": 1000, "words": words_of(rng, words, text)}
    write_ufo(folder / "labels.json", entries.items())
    with write_predictions(folder / "predictions.json") as writer:
        for name, entry in reversed(entries.items()):
            polygons = [np.array(word["points"]) + rng.normal(0, 4, (4, 2)) for word in entry["words"].values()]
            writer.write(name, Detections(Polygons.of(polygons), rng.random(words)), 1000, 1000)
    return folder / "labels.json", folder / "predictions.json"


@pytest.mark.parametrize("without_text", [None, 0, 20])
def test_pages_score_as_they_do_all_at_once(tmp_path, without_text):
    truth, predictions = write_files(tmp_path, pages=21, words=12)
    content = json.loads(truth.read_text())
    content["images"]["unlabelled.jpg"] = {"img_w": 5, "img_h": 5}
    if without_text is not None:  # one word is enough for all pages to be counted by the aspect
        content["images"][f"{without_text}.jpg"]["words"]["3"]["transcription"] = None
    truth.write_text(json.dumps(content))
    labels = open_labels(truth, tmp_path)
    pages = [labels.page(i) for i in range(21)]
    found = read_predictions(predictions)
    characters = choose_characters(pages)
    expected = score_pages(pages, [found[page.name] for page in pages], characters)
    scorer = score_files(truth, predictions)
    assert scorer.characters == characters == ("transcription" if without_text is None else "aspect")
    assert scorer.pages == [page for (page,) in expected]
    assert score_files(truth, predictions, "transcription").characters == "transcription"


def test_only_counts_stay_in_memory(tmp_path):
    truth, predictions = write_files(tmp_path, pages=300, words=150)
    assert truth.stat().st_size > 4e6
    assert predictions.stat().st_size > 4e6
    score_files(truth, predictions)  # compiles
    tracemalloc.start()
    scorer = score_files(truth, predictions)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(scorer.pages) == 300
    assert held < 1e6
    assert peak < 5e6


def test_files_about_other_images_are_refused(tmp_path):
    truth, predictions = write_files(tmp_path, pages=3, words=1)
    content = json.loads(truth.read_text())
    content["images"]["more.jpg"] = content["images"].pop("1.jpg")
    content["images"]["unlabelled.jpg"] = {"img_w": 5, "img_h": 5}
    truth.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        score_files(truth, predictions)
    assert str(error.value).splitlines()[1:] == [
        "  - more.jpg: has labels but no predictions",
        "  - 1.jpg: has predictions but no labels",
    ]
    truth.write_text('{"images": {"a.jpg": {"img_w": 5, "img_h": 5}}}')
    predictions.write_text('{"images": {"a.jpg": {}}}')
    with pytest.raises(InputError, match="no image has labels"):
        score_files(truth, predictions)


def test_the_faults_of_all_predictions_are_told_at_once(tmp_path):
    truth, predictions = write_files(tmp_path, pages=3, words=2)
    content = json.loads(predictions.read_text())
    content["images"]["0.jpg"]["words"]["0001"]["points"] = [[1, 2]]
    content["images"]["2.jpg"]["words"]["0002"]["score"] = 7
    predictions.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        score_files(truth, predictions)
    assert "0.jpg: words.0001.points" in str(error.value)
    assert "2.jpg: words.0002.score" in str(error.value)
