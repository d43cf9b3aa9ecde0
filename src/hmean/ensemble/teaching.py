"""The teachers of a student: the mean of the maps of all runs, kept as files that a training reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmean.data.pages import LabelledImages
from hmean.ensemble.detect import mean_map
from hmean.ensemble.members import Ensemble, MemberView
from hmean.errors import InputError
from hmean.files import write_json
from hmean.inference.trained import Accelerator, Unreadable, page_files
from hmean.progress import track
from hmean.runs.maps import MapStore


def write_teacher_maps(
    teachers: Ensemble,
    pages: LabelledImages,
    folder: Path,
    *,
    accelerator: Accelerator = "auto",
    workers: int = 0,
) -> None:
    """Write the mean of the teachers' maps of each page to ``maps/``, and the keys of the pages they have seen.

    Maps that are there already are kept.

    Raises:
        InputError: if an image cannot be read.
    """
    files = page_files(pages)
    made_by = " ".join(_made_by(member) for member in teachers.members)
    store = MapStore(folder / "maps", made_by, dict(files))
    missing = [file for file in files if file.name not in store]
    with track("teaching", len(missing)) as advance:
        for maps in teachers.maps(missing, accelerator=accelerator, workers=workers):
            if isinstance(maps, Unreadable):
                raise InputError(maps.reason)
            store.add(mean_map(maps))
            advance()
    seen = np.concatenate([member.model.pages.all() for member in teachers.members])
    write_json(folder / "seen.json", np.unique(seen).tolist())


def _made_by(teacher: MemberView) -> str:
    """What the maps of a teacher depend on."""
    text = teacher.view.text
    size = f"{teacher.record.weights_hash} {teacher.record.long_side}"
    if text is None:
        return size
    return f"{size} text {text.height:g} {text.first_look}"
