"""The page of the ablation: its record and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import harness
import score_rows
import sroie
from ablation_variants import BASE, DRAWN_PAGES, EDGE_LEVELS, GROUPS, Group, Weights
from learning_curve_page import wrapped
from pydantic import Field
from score_rows import SHOWN, Cell, DifferenceCell, DifferenceRow, Row, Shown

from hmean.files import write_text
from hmean.records import Record

COLUMNS: tuple[Shown, ...] = ("macro", "iou50", "iou70", "single")
DAMAGED_PAGES = "one of each shop"


class VariantRow(Record):
    """A variant, and what it scores."""

    name: str = Field(description="of the variant")
    group: Group = Field(description="what it is a variant of")
    what: str = Field(description="it does")
    overrides: tuple[str, ...] = Field(description="of its training, over those of the base")
    weights: Weights = Field(description="whose are scored")
    seeds: tuple[int, ...] = Field(description="of the trainings; empty: nothing was trained")
    steps: int | None = Field(description="of one training; null: it has none of its own")
    minutes: float | None = Field(description="of one training, mean; null: it has none of its own")
    row: Row | None = Field(description="what it scores on the judging pages; null: not trained")
    difference: DifferenceRow | None = Field(description="to the base; null: not trained, or the base itself")


class DamageRow(Record):
    """One damage of the short list."""

    damage: str = Field(description="name and strength")
    pages: int = Field(description="number of pages")
    macro: dict[str, Cell] = Field(description="macro H of each variant")


class AblationPage(Record):
    """The content of ``ablation.json``."""

    environment: harness.PageProvenance = Field(description="what the page was made with")
    fold: int = Field(description="whose pages judge")
    splits: bool = Field(
        description="whether the fold is that of a splits.json, not of five folds that were dealt anew"
    )
    seeds: tuple[int, ...] = Field(description="that were asked for")
    variants: tuple[VariantRow, ...] = Field(description="in their order of importance")
    damages: tuple[DamageRow, ...] = Field(description="undamaged pages first")

    @property
    def scored(self) -> list[VariantRow]:
        """The variants that have scores."""
        return [variant for variant in self.variants if variant.row is not None]

    @property
    def not_trained(self) -> list[VariantRow]:
        """The variants that have none."""
        return [variant for variant in self.variants if variant.row is None]


def write_page(record: AblationPage, target: Path) -> None:
    """Write page and numbers."""
    record.write(target.with_suffix(".json"))
    write_text(target, page(record))


def page(record: AblationPage) -> str:
    """The page."""
    about = f"""What each part of the recipe is worth: the base is `preset={BASE.preset}` as it comes, and each variant differs
        from it in one thing, or in the few that are named. All are trained on the same pages of SROIE's development part,
        and scored on the shops of one held-out fold ({fold_in_words(record)}); the last epoch is scored. Percent.
        {score_rows.INTERVALS}"""
    parts = [
        "# What each part of the recipe is worth",
        wrapped(about),
        scores(record),
        score_rows.describe_groups([variant.row for variant in record.scored if variant.row is not None][:1]),
        "## Differences to the base",
        wrapped(families(record)),
        differences(record),
        "## The variants",
        described(record),
    ]
    if record.not_trained:
        names = ", ".join(variant.name for variant in record.not_trained)
        parts.append(wrapped(f"**Not trained here**: {names}. Nothing is known of them from this page."))
    if record.damages:
        parts += ["## Damaged pages", wrapped(about_damages(record)), damages(record)]
    parts += [wrapped(caveats(record)), wrapped(had_a_part(record)), record.environment.footer()]
    return "\n\n".join(parts) + "\n"


def fold_in_words(record: AblationPage) -> str:
    """Which pages judge."""
    if record.splits:
        return f"fold {record.fold} of a cross-validation"
    return f"fold {record.fold} of five by shop"


# --- tables -----------------------------------------------------------------------------------------------------------


def scores(record: AblationPage) -> str:
    """A row for each variant that has scores; a paragraph below names the others."""
    lines = [
        f"| group | variant | seeds | steps | minutes | {' | '.join(SHOWN[name] for name in COLUMNS)} |",
        "|---|---|--:|--:|--:|" + "--:|" * len(COLUMNS),
    ]
    for variant in in_groups(record.scored):
        if variant.row is None:
            continue
        cells = [score_rows.cell_text(variant.row, name) for name in COLUMNS]
        lines.append(f"| {variant.group} | {variant.name} | {cost(variant)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def in_groups(variants: Sequence[VariantRow]) -> list[VariantRow]:
    """The base first, then group by group."""
    order = list(GROUPS)
    return sorted(variants, key=lambda variant: (variant.name != BASE.name, order.index(variant.group)))


def cost(variant: VariantRow) -> str:
    """Three cells: the number of seeds, and the steps and minutes of a training."""
    if variant.weights == "start":
        return "none | 0 | 0"
    if variant.minutes is None:
        return f"{len(variant.seeds)}, the base's | 0 | 0"
    return f"{len(variant.seeds)} | {variant.steps} | {variant.minutes:.0f}"


def differences(record: AblationPage) -> str:
    """A row for each variant with scores: differences in points, the family's intervals, and their verdicts."""
    lines = [
        f"| group | variant | {' | '.join(SHOWN[name] for name in COLUMNS)} |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    for variant in in_groups(record.scored):
        if variant.difference is None:
            continue
        cells = [difference_text(variant.difference.scores.get(name)) for name in COLUMNS]
        lines.append(f"| {variant.group} | {variant.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def difference_text(cell: DifferenceCell | None) -> str:
    """One difference; in bold where the family's interval says better or worse."""
    if cell is None:
        return ""
    text = f"{100 * cell.difference:+.2f} {score_rows.points(cell.family95)}"
    if cell.verdict in ("better", "worse"):
        return f"**{text} {cell.verdict}**"
    return text


def described(record: AblationPage) -> str:
    """What each variant is."""
    lines = []
    group = None
    for variant in in_groups(record.variants):
        if variant.group != group and variant.name != BASE.name:
            group = variant.group
            lines += ["", f"{GROUPS[group]}:", ""]
        line = f"- **{variant.name}**: {variant.what}"
        if variant.overrides:
            line += f" `{' '.join(variant.overrides)}`"
        lines.append(line)
    return "\n".join(lines).strip()


def damages(record: AblationPage) -> str:
    """Macro H of each variant on each damage, and the difference to the undamaged pages."""
    names = list(record.damages[0].macro)
    lines = [f"| damage | {' | '.join(names)} |", "|---|" + "--:|" * len(names)]
    for row in record.damages:
        cells = []
        for name in names:
            value = row.macro[name].value
            text = f"{100 * value:.1f}"
            if row is not record.damages[0]:
                text += f" ({100 * (value - record.damages[0].macro[name].value):+.1f})"
            cells.append(text)
        lines.append(f"| {row.damage} | {' | '.join(cells)} |")
    return "\n".join(lines)


# --- words ------------------------------------------------------------------------------------------------------------


def families(record: AblationPage) -> str:
    """What the intervals of the differences hold for."""
    text = """In points, paired by page, with intervals over shops that hold for a whole family: in bold what they call better or
        worse. All variants with other weights are one family for each score; those that score the base's own weights
        otherwise are another."""
    if all(len(variant.seeds) <= 1 for variant in record.scored):
        return f"{text} No training was repeated: these intervals say nothing of another seed."
    return f"""{text} Where a side has several seeds, their spread is added; that of a variant with one seed is not known, and its
        interval says nothing of another seed."""


def about_damages(record: AblationPage) -> str:
    """What the short list is of."""
    return f"""Macro H on {record.damages[0].pages} of the judging pages, {DAMAGED_PAGES}, damaged as
        `benchmarks/damages.py` says; in parentheses the difference to the same pages undamaged. One training of each, with
        the values that it carries."""


def caveats(record: AblationPage) -> str:
    """What to be careful about."""
    trained = [variant for variant in record.scored if variant.minutes is not None]
    once = [variant.name for variant in trained if len(variant.seeds) == 1]
    text = "**Careful.** One fold judges: other shops may say otherwise."
    if len(once) == len(trained):
        (seed,) = dict.fromkeys(trained[0].seeds)
        text += f" One seed ({seed}): another may say otherwise, by more than many of these differences."
    elif once:
        text += f" One seed only: {', '.join(once)}."
    commits: set[str] = set()
    for run in record.environment.runs:
        commits.update(run.commits)
    if len(commits) > 1:
        text += f""" They were trained by {len(commits)} versions of the code (the last table), between which more than
            the variants may differ."""
    text += """ Minutes are those of trainings on one thread of a machine that did other work at the time, more at some times than at
        others: compare steps instead. Differences do not add up: two changes that gain alone may not gain together."""
    return text


def had_a_part(record: AblationPage) -> str:
    """Which pages had a part in what."""
    values = f"""{sroie.CROSS_FITTED} For "edge level" it is chosen among {", ".join(f"{level:g}" for level in EDGE_LEVELS)}
        beside the other values."""
    drawn = ""
    if any(variant.row is not None and variant.group == "data" for variant in record.variants):
        drawn = f" Drawn pages ({DRAWN_PAGES}) are of no shop."
    return f"""**Which pages had a part in what.** Weights: no page of the shops that judge; what PP-OCRv6 was trained on is not
        published as a whole and may include receipts of this set.{drawn} Epoch: none. Values of the post-processing:
        {values} The recipe and its variants were developed on SROIE's development pages, these ones too: what looks best
        here was partly found here."""
