"""Values that a person chose, as in the studio: into the model and ``tuned.json``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.opening import open_model
from hmean.tuning.adoption import Verdict
from hmean.tuning.fit import TunedPages, make_result
from hmean.tuning.result import Searched
from hmean.tuning.scores import SettingScores
from hmean.types import Characters


def adopt_manually(
    path: Path,
    weights_hash: str,
    split: str,
    pages: LabelledImages,
    before: SettingScores,
    after: SettingScores,
    characters: Characters,
) -> None:
    """Put the values that a person chose, seeing the scores ``after``, into a model and the ``tuned.json`` of its run.

    Args:
        path: of the checkpoint.
        weights_hash: of the model that the scores are of.
        split: of the data set that the pages are.
        pages: that the values were chosen on.
        before: the score of the model's values, one setting.
        after: the score of the values chosen, one setting.
        characters: how characters were counted.

    Raises:
        InputError: if the checkpoint has other weights by now, or other values than those of ``before``: then the
            scores say nothing of what it would be.
    """
    model = open_model(path)
    if model.weights_hash() != weights_hash or model.postprocess != before.settings[0]:
        raise InputError(f"{path}: has changed since its maps and values were read; start again")
    if model.folder is None:
        raise InputError(f"{path}: is not in a run folder, so there is no place for tuned.json")
    chosen = after.settings[0]
    keys = pages.page_keys()
    names = []
    groups = []
    for position in range(len(pages)):
        names.append(pages.name(position))
        groups.append(pages.page(position, []).group)
    scored = TunedPages(
        names=names,
        groups=groups,
        characters=characters,
        objective={"macro": 1.0},
        split=split,
        influenced_by=model.influenced_by(keys),
    )
    both = SettingScores(
        [*before.settings, *after.settings],
        np.concatenate([before.counts, after.counts]),
        np.concatenate([before.matches, after.matches]),
        before.groups,
    )
    result = make_result(
        scored,
        both,
        np.array([False, True]),
        before,
        after,
        searched=Searched(settings=2, scored=2),
        verdict=Verdict("manual", "by hand"),
        in_model=chosen,
    )
    model.write_postprocess(chosen, f"chosen by hand on {len(pages)} {split} pages", keys)
    result.write(model.folder / "tuned.json")
