"""The rule of a fixed number of votes: a result of its own wherever folds are combined, whether it is kept or not.

A vote whose rule was chosen, and what is kept of all strategies, owe something to luck; this rule was there before.
"""

from __future__ import annotations

import os
from pathlib import Path

from hmean.campaign.state import Campaign
from hmean.ensemble.records import EnsembleRecord, MemberRecord, StrategyRow
from hmean.ensemble.strategies import FixedVotes

FIXED_VOTE = FixedVotes.name


def row_of(record: EnsembleRecord) -> StrategyRow | None:
    """The verdict on the rule; None: it was not possible, or an earlier version did not try it."""
    for row in record.strategies:
        if row.strategy == FIXED_VOTE:
            return row
    return None


def write_fixed_vote(campaign: Campaign, name: str) -> None:
    """Write the ensemble by this rule beside that of an ensemble phase, unless it is the same, or not possible."""
    folder = campaign.folder / name
    record = EnsembleRecord.read(folder / "ensemble.json")
    row = row_of(record)
    if row is None or record.strategy == FIXED_VOTE:
        return
    target = _file(folder)
    checkpoints = {run.weights_hash: run.checkpoint for run in record.runs}
    members = []
    for view in row.members:
        checkpoint = os.path.relpath(folder / checkpoints[view.weights_hash], target.parent)
        members.append(MemberRecord(**view.to_json(), checkpoint=checkpoint))
    fixed = EnsembleRecord(
        strategy=FIXED_VOTE,
        members=tuple(members),
        postprocess=row.postprocess,
        tuned_on=record.tuned_on,
        pages=record.pages,
        groups=record.groups,
        data_hash=record.data_hash,
        objective=record.objective,
    )
    fixed.write(target)


def vote_file(campaign: Campaign, name: str) -> Path | None:
    """The ensemble by this rule, of an ensemble phase; None: there is none."""
    file = _file(campaign.folder / name)
    if file.exists():
        return file
    return None


def _file(folder: Path) -> Path:
    return folder / "vote_3" / "ensemble.json"


def vote_scores(campaign: Campaign, name: str, by: str) -> Path:
    """The folder of its scores in a score phase."""
    return campaign.folder / by / f"{name}_vote_3"
