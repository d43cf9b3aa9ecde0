"""The variants of the ablation: what each changes in the base, ``preset=pp_ocrv6_small`` as it comes.

The order is that of importance: trainings are run in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hmean.types import TextView, View

Group = Literal["start", "data", "views", "geometry", "loss", "damage", "length"]
# Whose weights are scored: its own training's, those of the base, or those that the base starts from.
Weights = Literal["own", "base", "start"]
GROUPS: dict[Group, str] = {
    "start": "What the training starts from",
    "data": "More data",
    "views": "Views of pages",
    "geometry": "Geometry of targets and boxes",
    "loss": "What counts, and narrow words",
    "damage": "Damages of training pages",
    "length": "Length and learning rates",
}
PRESET = "pp_ocrv6_small"
DRAWN = "DRAWN"  # in overrides: the folder of drawn pages
DRAWN_PAGES = 400
STYLES = ("receipt", "photo", "scan", "invoice", "form")
EDGE_LEVELS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True)
class Variant:
    """One row of the ablation.

    Attributes:
        name: also of its folders.
        group: what it is a variant of.
        what: it does, in a sentence.
        overrides: of the training, over those of the base.
        preset: that is trained.
        weights: whose are scored; only its own are trained.
        view: how pages are seen when it is scored; None: as in training.
        edge_levels: among which ``edge_level`` is chosen; empty: it stays as it is.
    """

    name: str
    group: Group
    what: str
    overrides: tuple[str, ...] = ()
    preset: str = PRESET
    weights: Weights = "own"
    view: View | None = None
    edge_levels: tuple[float, ...] = ()


BASE = Variant("base", "start", "PP-OCRv6 small, fine-tuned with the preset as it comes: 400 steps of batch 4.")

ROUGH = Variant("rough", "damage", "Turned, tilted, worn, dark and blurred pages.", ("preset/transforms=rough",))
SHIPPED = Variant(
    "shipped recipe",
    "damage",
    "Rough pages, three times as many steps: scripts/train_box_model.sh.",
    ("preset/transforms=rough", "transforms.train.min_samples=0", "trainer.max_epochs=12"),
)

# What preset/transforms=rough was at first: more pages turned and worn.
ROUGHER_SHAPES = (
    "transforms.train.augment={rotate: 4.0, shear: 2.0, perspective: 0.04, stretch: 0.3, p: 0.7, turn: 0.25, tilt: 45.0, "
    "p_tilt: 0.1}"
)
ROUGHER_PIXELS = (
    "transforms.train.photometric={brightness: 0.3, contrast: 0.3, saturation: 0.3, hue: 0.05, p_color: 0.5, p_gray: 0.15, "
    "noise: 0.08, p_noise: 0.1, blur: 2.0, p_blur: 0.15, p_sharpen: 0.1, jpeg: 15, p_jpeg: 0.15, p_shadow: 0.1, "
    "p_fog: 0.03, fade: 0.2, p_fade: 0.08, creases: 16, crease_depth: 0.35, p_crease: 0.12, p_stain: 0.04, light: 0.7, "
    "p_light: 0.1, faint: 0.2, p_faint: 0.12, gamma: 2.5, p_gamma: 0.1, p_invert: 0.04, motion: 7.0, p_motion: 0.05, "
    "small: 0.45, p_small: 0.06, dark: 0.12, p_dark: 0.1, specks: 0.02, p_specks: 0.03}"
)
ALSO_DRAWN = f"datasets.train_dataset.also=[{{image_path: {DRAWN}/images, annotation_path: {DRAWN}/jsons/train.json, share: 0.3}}]"

VARIANTS: tuple[Variant, ...] = (
    BASE,
    Variant("start", "start", "PP-OCRv6 small itself, without any training.", weights="start"),
    Variant(
        "text view",
        "views",
        "The base's own weights, shown the text of a page at a height of 20 px instead of the whole page.",
        weights="base",
        view=View(960, "stride", TextView()),
    ),
    Variant(
        "edge level",
        "geometry",
        "The base's own weights, with sides between pixels: `edge_level` is chosen too.",
        weights="base",
        edge_levels=EDGE_LEVELS,
    ),
    SHIPPED,
    ROUGH,
    Variant(
        "words and narrow",
        "loss",
        "Words count by the root of their area, and a quarter of the crops is around a narrow word.",
        ("models.targets.word_balance=0.5", "transforms.train.near_narrow=0.25"),
    ),
    Variant(
        "drawn pages",
        "data",
        f"{DRAWN_PAGES} drawn pages ({', '.join(STYLES)}) give 30 % of the samples, in as many steps.",
        (ALSO_DRAWN, "trainer.limit_train_batches=100"),
    ),
    Variant("longer", "length", "Twice as many steps.", ("trainer.max_epochs=8",)),
    Variant(
        "from ImageNet",
        "start",
        "The preset receipts_lite, whose encoder has ImageNet weights, for as many samples.",
        ("trainer.max_epochs=4", "transforms.train.min_samples=400"),
        preset="receipts_lite",
    ),
    Variant(
        "text share",
        "views",
        "Half of the crops are scaled by the height of their text, not by the size of the page.",
        ("transforms.train.text_share=0.5",),
    ),
    Variant(
        "pasted words",
        "data",
        "Words of other pages are put into free places of 30 % of the samples.",
        ("transforms.train.paste=0.3",),
    ),
    Variant("word balance", "loss", "Words count by the root of their area.", ("models.targets.word_balance=0.5",)),
    Variant(
        "narrow crops",
        "loss",
        "A quarter of the crops is around a narrow word.",
        ("transforms.train.near_narrow=0.25",),
    ),
    Variant(
        "antialias",
        "geometry",
        "Targets say how much of a pixel is text.",
        ("models.targets.antialias=true",),
    ),
    Variant(
        "shrink 0.4",
        "geometry",
        "Words are shrunk as in the paper, further than with the preset's 0.6.",
        ("models.targets.shrink_ratio=0.4",),
    ),
    Variant("rougher", "damage", "More pages turned and worn than in rough.", (ROUGHER_SHAPES, ROUGHER_PIXELS)),
    Variant("shorter", "length", "Half as many steps.", ("trainer.max_epochs=2",)),
    Variant("lr x 0.5", "length", "Half the learning rate.", ("models.optimizer.lr=0.00015",)),
    Variant("lr x 2", "length", "Twice the learning rate.", ("models.optimizer.lr=0.0006",)),
    Variant("frozen encoder", "length", "The encoder stays as it is.", ("models.encoder.lr_scale=0.0",)),
)


def find_variant(name: str) -> Variant:
    """The variant of a name, as typed: spaces may be underscores.

    Raises:
        SystemExit: if there is none.
    """
    for variant in VARIANTS:
        if name in (variant.name, folder_name(variant)):
            return variant
    raise SystemExit(f"variants={name}: choose among {', '.join(folder_name(variant) for variant in VARIANTS)}")


def folder_name(variant: Variant) -> str:
    """Its name without spaces and commas."""
    return variant.name.replace(",", "").replace(" ", "_")
