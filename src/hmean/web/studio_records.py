"""What the studio's page and its server say to each other: one record for each request and each answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydantic
from pydantic import Field

from hmean.metrics.record import ScoreRecord
from hmean.postprocess.parameters import Parameter, PostprocessParams, Slider
from hmean.records import Record
from hmean.runs.carried import Influence
from hmean.tuning.scores import Gain
from hmean.types import PRH, Characters
from hmean.web.parameter_records import ClientRecord, parameter_fields

# --- requests ---------------------------------------------------------------------------------------------------------


class ParameterValues(ClientRecord):
    """Values of all post-processing parameters; the fields are derived from their declaration."""

    def params(self) -> PostprocessParams:
        """The record that the post-processing takes."""
        return PostprocessParams(**self.model_dump())


if TYPE_CHECKING:

    class Parameters(ParameterValues):
        """See ``ParameterValues``."""

else:
    Parameters = pydantic.create_model(
        "Parameters", __base__=ParameterValues, **parameter_fields(None, in_request=False)
    )


class PageRequest(ClientRecord):
    """What does a run find on a page at these parameters?"""

    run: int
    page: int
    postprocess: Parameters


class ScoreRequest(ClientRecord):
    """What do the runs score on all pages, each at its parameters?"""

    postprocess: list[Parameters]


class SaveRequest(ClientRecord):
    """Write these parameters into the checkpoint of a run."""

    run: int
    postprocess: Parameters


# --- answers ----------------------------------------------------------------------------------------------------------


class Choice(Record):
    """One value of a parameter that is not a number."""

    value: bool | str = Field(description="the value")
    label: str = Field(description="how the page names it")


class ParameterAbout(Record):
    """How the page shows a parameter: a number, with a slider if it has one, or a list of choices."""

    name: str = Field(description="the parameter")
    help: str = Field(description="what it does, one sentence")
    unclip: str | None = Field(description="the unclip mode that reads it; null: both do")
    choices: list[Choice] = Field(description="all its values; empty for a number")
    slider: Slider | None = Field(description="range and step of its slider; null: it has none")
    minimum: float | None = Field(description="smallest number; null: there is none")
    maximum: float | None = Field(description="largest number; null: there is none")
    is_whole: bool = Field(description="whether it takes whole numbers only")

    @classmethod
    def of(cls, parameter: Parameter) -> ParameterAbout:
        """Derive from a declaration."""
        labels = parameter.labels or [str(value) for value in parameter.choices]
        choices = []
        for value, label in zip(parameter.choices, labels, strict=True):
            choices.append(Choice(value=value, label=label))
        return cls(
            name=parameter.name,
            help=parameter.help,
            unclip=parameter.unclip,
            choices=choices,
            slider=parameter.slider,
            minimum=parameter.minimum,
            maximum=parameter.maximum,
            is_whole=parameter.type is int,
        )


class HistoryEntry(Record):
    """Parameters that a checkpoint had before."""

    postprocess: PostprocessParams = Field(description="their values")
    until: str = Field(description="when others replaced them")
    why: str = Field(description="why others replaced them")


class RunAbout(Record):
    """A run, and what its checkpoint holds now."""

    name: str = Field(description="of its folder")
    saved: PostprocessParams = Field(description="the parameters in its checkpoint")
    history: list[HistoryEntry] = Field(description="earlier parameters, the latest first")
    influenced_by: Influence = Field(description="number of these pages that it was trained, or chosen, on")


class PageAbout(Record):
    """A labelled page."""

    name: str = Field(description="of its image")
    width: int = Field(description="of its upright image")
    height: int = Field(description="of its upright image")
    group: str | None = Field(description="the group that it belongs to, if any")
    words: int = Field(description="number of words that count")
    text_height: float | None = Field(description="median height of its words, in pixels of the network's view")
    height_bins: list[int] = Field(description="the bins of text height that its words fall into")


class StudioAbout(Record):
    """What does not change while parameters do."""

    version: str = Field(description="of hmean")
    split: str = Field(description="the split that the pages are of")
    characters: Characters = Field(description="how characters are counted")
    faults: list[str] = Field(description="kinds of faults, by which pages are filtered and sorted")
    height_edges: list[float] = Field(description="edges of the bins of text height, in pixels of the network's view")
    parameters: list[ParameterAbout] = Field(description="the post-processing parameters")
    pages: list[PageAbout] = Field(description="the pages")
    grouping: str = Field(description="the groups of the pages, which intervals rest on, in words")
    grouping_warning: str | None = Field(description="what to be careful about in intervals; null: nothing")
    runs: list[RunAbout] = Field(description="one run, or two that are compared")


class TruthWord(Record):
    """A labelled word."""

    points: list[float] = Field(description="its outline as x y x y ..., in pixels of the page")
    text: str | None = Field(description="its transcription")
    ignored: bool = Field(description="whether it is an ignore region")


class FoundPolygon(Record):
    """A text polygon that a run finds."""

    points: list[float] = Field(description="its outline as x y x y ..., in pixels of the page")
    score: float = Field(description="its score")
    fault: str = Field(description="false or merged; empty where there is no fault")


class PageAnswer(Record):
    """What a run finds on a page."""

    found: list[FoundPolygon] = Field(description="its text polygons")
    word_faults: list[str] = Field(description="the fault of each word: missed or split; empty where there is none")
    to_page: list[list[float]] = Field(description="matrix from pixels of the map to pixels of the page")
    prh: PRH = Field(description="CLEval")
    iou50: PRH = Field(description="at IoU 0.5")
    iou70: PRH = Field(description="at IoU 0.7")


class PageScore(Record):
    """What one page scores."""

    p: float = Field(description="precision")
    r: float = Field(description="recall")
    h: float = Field(description="hmean")
    faults: dict[str, int] = Field(description="number of characters with each fault")


class CurvePoint(Record):
    """Macro precision and recall at one box threshold."""

    box_thresh: float = Field(description="the box threshold")
    p: float = Field(description="macro precision")
    r: float = Field(description="macro recall")


class RunScores(Record):
    """What a run scores on all pages."""

    now: ScoreRecord = Field(description="scores at the requested parameters")
    saved: ScoreRecord = Field(description="scores at the saved parameters")
    gain: Gain | None = Field(description="macro H now against saved; null where all counts are the same")
    pages: list[PageScore] = Field(description="each page at the requested parameters")
    curve: list[CurvePoint] = Field(description="along the box threshold, with the other parameters as requested")


class ScoreAnswer(Record):
    """What the runs score on all pages."""

    runs: list[RunScores] = Field(description="in the order of the runs")
    between: Gain | None = Field(description="macro H of the second run against the first; null where there is one run")
