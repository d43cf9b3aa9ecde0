"""predictions.json: the record that documents it is what is written and read."""

import json
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest

from hmean.errors import InputError
from hmean.runs.journal import Journal, JournalReader, PageKey, SkippedLine
from hmean.runs.predictions import (
    PredictedPage,
    PredictionFile,
    csv_polygons,
    read_predictions,
    write_predictions,
)
from hmean.types import Detections, Polygons

FOUND = Detections(
    Polygons.of([[[0, 0], [10.5, 0], [10, 5]], [[1.25, 1], [2, 1], [2, 2.4], [1, 2]]]), np.array([0.5, 0.75])
)


def test_predictions_come_back_in_falling_order_of_score(tmp_path):
    path = tmp_path / "predictions.json"
    with write_predictions(path, tmp_path / "submission.csv") as writer:
        writer.write("영수증.jpg", FOUND, 20, 30)
        writer.write("broken.jpg", Detections.empty(), None, None)
    found = read_predictions(path)
    assert list(found) == ["영수증.jpg", "broken.jpg"]
    assert found["영수증.jpg"].scores.tolist() == [0.75, 0.5]
    assert found["영수증.jpg"].polygons[1].tolist() == [[0, 0], [10.5, 0], [10, 5]]
    assert (tmp_path / "submission.csv").read_text().splitlines() == [
        "filename,polygons",
        f"영수증.jpg,{csv_polygons(FOUND)}",
        "broken.jpg,",
    ]
    assert csv_polygons(FOUND) == "1 1 2 1 2 2 1 2|0 0 10 0 10 5"
    entry = json.loads(path.read_text())["images"]["영수증.jpg"]
    assert PredictedPage.model_validate(entry).model_dump(mode="json", exclude_none=True) == entry


def test_files_are_not_there_until_they_are_whole(tmp_path):
    path = tmp_path / "predictions.json"
    with suppress(RuntimeError), write_predictions(path) as writer:
        writer.write("a", FOUND, 1, 1)
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_faults_name_image_and_word(tmp_path):
    path = tmp_path / "predictions.json"
    words = {"1": {"points": [[0, 0], [1, 1]]}, "2": {"points": [[0, 0], [1, 0], [1, 1]], "score": 2}}
    path.write_text(json.dumps({"images": {"a.jpg": {"words": words}, "b.jpg": []}}))
    with pytest.raises(InputError) as error:
        read_predictions(path)
    for expected in ("a.jpg: words.1.points", "a.jpg: words.2.score", "b.jpg"):
        assert expected in str(error.value)
    path.write_text("[]")
    with pytest.raises(InputError, match="is not"):
        read_predictions(path)


def test_pages_are_read_one_at_a_time(tmp_path):
    path = tmp_path / "predictions.json"
    with write_predictions(path) as writer:
        for i in range(300):
            polygons = Polygons.of([[[k, 0], [k + 0.5, 0], [k, i]] for k in range(1, 200)])
            writer.write(f"{i}.jpg", Detections(polygons, np.ones(199)), 20, 30)
    assert path.stat().st_size > 4e6
    tracemalloc.start()
    predictions = PredictionFile(path)
    for i, name in enumerate(predictions.names):
        assert predictions[name].polygons[0][2].tolist() == [1, i]
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "299.jpg" in predictions
    assert "300.jpg" not in predictions
    assert held < 0.2e6
    assert peak < 4e6


def test_numbers_that_the_record_accepts_are_read(tmp_path):
    path = tmp_path / "predictions.json"
    words = {"1": {"points": [["0", 0], [1, 0], [1, True]], "score": "0.5"}, "2": {"points": [[0, 0], [1, 0], [1, 1]]}}
    path.write_text(json.dumps({"images": {"a": {"words": words, "more": 1}, "b": {"words": None}, "c": {}}}))
    found = read_predictions(path)
    assert found["a"].scores.tolist() == [0.5, 1]
    assert found["a"].polygons[0].tolist() == [[0, 0], [1, 0], [1, 1]]
    assert (len(found["b"]), len(found["c"])) == (0, 0)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ('{"a": {"words": {"w": {"points": [[0, 0], [1, 0], [1, NaN]]}}}}', r"a: words\.w\.points\.2\.1: .*finite"),
        ('{"a": {"words": {"w": {"points": [[0, 0], [1, 0], [1, 1]], "score": null}}}}', r"a: words\.w\.score: "),
        ('{"a": {"words": {"w": {"points": [[0, 0], [1, 0],]}}}}', r"a: its entry cannot be read"),
        ('{"a": {}, "b": 3}', r"b: .*got 3"),
        ('{"a": {}, "a": {}}', "1 images are listed twice"),
        ('{"a": {}', "is not JSON"),
        ("[]", "is not .*images"),
    ],
)
def test_faults_of_files_are_told(tmp_path, images, message):
    path = tmp_path / "predictions.json"
    path.write_text(f'{{"images": {images}}}')
    with pytest.raises(InputError, match=f"(?s){message}"):
        read_predictions(path)


def test_a_journal_goes_on_where_it_was_cut_off(tmp_path):
    folder = tmp_path / "out" / "journal"
    first, second = PageKey("a", 1, 2), PageKey("b", 3, 4)
    with Journal(folder / "1-of-2.jsonl", {"by": "model"}) as journal:
        journal.write(first, FOUND, 20, 30)
        journal.skip(second, "damaged")
    with (folder / "1-of-2.jsonl").open("ab") as file:
        file.write(b'{"page": ["c"')
    with Journal(folder / "1-of-2.jsonl", {"by": "model"}) as journal:
        assert not journal.is_empty
    with Journal(folder / "2-of-2.jsonl", {"by": "model"}) as journal:
        assert journal.is_empty
    assert [path.name for path in folder.iterdir()] == ["1-of-2.jsonl"]  # without a page, no trace is left
    with JournalReader(folder) as reader:
        assert first in reader
        assert second not in reader
        assert PageKey("c", 0, 0) not in reader
        assert (reader[first].img_w, reader[first].img_h) == (20, 30)
        assert reader[first].detections().scores.tolist() == [0.75, 0.5]
        assert isinstance(reader[second], SkippedLine)
    with pytest.raises(InputError, match="by another model or with other values"):
        Journal(folder / "2-of-2.jsonl", {"by": "another"})
    with Journal(folder / "2-of-2.jsonl", {"by": "another"}, overwrite=True) as journal:
        journal.write(second, FOUND, 1, 1)
    assert [path.name for path in folder.iterdir()] == ["2-of-2.jsonl"]
