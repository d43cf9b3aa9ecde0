"""Where weights come from: code, data, schedule and machine of their training. The files of trained models carry it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field

from hmean.records import Record
from hmean.runs.manifest import GitState, Manifest

NOT_RECORDED = "not recorded"
SHORT = 8  # characters of a hash that are printed


class Schedule(Record):
    """How long a training runs, and how it steps."""

    epochs: int | None = Field(default=None, description="epochs of the training")
    batch_size: int | None = Field(default=None, description="training samples in a batch")
    optimizer: str | None = Field(default=None, description="class of the optimizer")
    lr: float | None = Field(default=None, description="highest learning rate of decoder and head")
    scheduler: str | None = Field(default=None, description="function or class of the learning rate's schedule")

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Self:
        """From the resolved config of a training; what it does not say is null."""
        return cls(
            epochs=_value(config, "trainer.max_epochs"),
            batch_size=_value(config, "dataloaders.train_dataloader.batch_size"),
            optimizer=_value(config, "models.optimizer._target_"),
            lr=_value(config, "models.optimizer.lr"),
            scheduler=_value(config, "models.scheduler._target_"),
        )

    def describe(self) -> str:
        """On one line."""
        return ", ".join([
            f"{_or_not_recorded(self.epochs)} epochs",
            f"batch {_or_not_recorded(self.batch_size)}",
            f"{_or_not_recorded(self.optimizer)}",
            f"lr {_or_not_recorded(self.lr)}",
            f"schedule {_or_not_recorded(self.scheduler)}",
        ])  # fmt: skip


class StartProvenance(Record):
    """The weights of a whole detector that a training started from."""

    name: str = Field(description="what models.pretrained named, or the name of the file")
    title: str | None = Field(default=None, description="its name for people; null: name")
    source: str | None = Field(default=None, description="where it was published: a repository of the hub")
    sha256: str | None = Field(default=None, description="of the weights file, or of the checkpoint's weights")
    licence: str | None = Field(default=None, description="of the weights, as an SPDX expression; null: not known")
    holder: str | None = Field(default=None, description="who holds the copyright")
    data: str | None = Field(default=None, description="what the weights were trained on, as far as it is published")
    of_ours: bool = Field(default=False, description="whether hmean trained them")

    def describe(self) -> str:
        """On one line."""
        words = [self.title or self.name]
        if self.sha256 is not None:
            words.append(f"SHA-256 {self.sha256[:SHORT]}")
        if self.licence is not None:
            words.append(self.licence)
        if self.holder is not None:
            words.append(self.holder)
        return ", ".join(words)


class TrainingProvenance(Record):
    """How weights were trained. null: not recorded (earlier versions of hmean recorded less)."""

    hmean: str | None = Field(default=None, description="version of hmean that trained them")
    git: GitState | None = Field(default=None, description="state of the git repository at the (last) start")
    python: str | None = Field(default=None, description="version of Python")
    versions: dict[str, str | None] | None = Field(
        default=None, description="versions of the packages that results depend on"
    )
    seed: int | None = Field(default=None, description="seed of the training")
    schedule: Schedule = Field(default=Schedule(), description="how long it ran, and how it stepped")
    data_hash: dict[str, str] | None = Field(
        default=None, description="hash of names, labels and images, for each split"
    )
    config_hash: str | None = Field(default=None, description="hash of the resolved config")
    command: list[str] | None = Field(
        default=None, description="command line, without secrets; absolute paths are made relative"
    )
    processor: str | None = Field(default=None, description="name of the processor")
    device: str | None = Field(default=None, description="devices and precision of the training")
    starts: int | None = Field(
        default=None, description="how often it was started: more than once if it was stopped and continued"
    )
    saved: str | None = Field(default=None, description="time when these weights were saved, local")
    minutes: float | None = Field(default=None, description="duration of the epochs up to these weights, all starts")
    note: str | None = Field(default=None, description="what else is known of it, in words")
    started_from: tuple[StartProvenance, ...] = Field(
        default=(),
        description="the detector that it started from, then what that one had started from, and so on; empty: only "
        "the encoder was pretrained, or nothing",
    )

    @classmethod
    def of_manifest(cls, manifest: Manifest, config: Mapping[str, Any]) -> Self:
        """Of a training that starts, or of one that has left only its manifest; no time is known."""
        return cls(
            hmean=manifest.hmean,
            git=manifest.git,
            python=manifest.python,
            versions=manifest.versions,
            seed=manifest.seed,
            schedule=Schedule.of_config(config),
            data_hash=manifest.data_hash,
            config_hash=manifest.config_hash,
            command=manifest.machine.command,
            processor=manifest.machine.processor,
            device=manifest.machine.device,
        )

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Self:
        """Of a training of which only the config is known."""
        return cls(seed=_value(config, "seed"), schedule=Schedule.of_config(config))

    def at(self, seconds: float | None) -> Self:
        """The same, for weights that are saved now, after so many seconds of training."""
        minutes = None
        if seconds is not None:
            minutes = round(seconds / 60, 2)
        return self.model_copy(update={"saved": time.strftime("%Y-%m-%dT%H:%M:%S"), "minutes": minutes})

    def describe(self) -> str:
        """Lines for people; what is not known is said to be not recorded."""
        minutes = NOT_RECORDED
        if self.minutes is not None:
            minutes = f"{self.minutes:.1f}"
        config_hash = NOT_RECORDED
        if self.config_hash is not None:
            config_hash = self.config_hash[:SHORT]
        command = NOT_RECORDED
        if self.command is not None:
            command = " ".join(self.command)
        hmean = _or_not_recorded(self.hmean)
        lines = [
            f"commit {describe_git(self.git)}, hmean {hmean}, seed {_or_not_recorded(self.seed)}",
            f"schedule: {self.schedule.describe()}",
            f"data: {_short_hashes(self.data_hash)}; config: {config_hash}",
            f"command: {command}",
            f"saved {_or_not_recorded(self.saved)}, minutes of training {minutes}, on {self._machine()}",
            f"versions: {describe_versions(self.versions)}",
        ]
        if self.starts is not None and self.starts > 1:
            lines.append(f"started {self.starts} times; commit, versions and command are those of the last start")
        for start in self.started_from:
            lines.append(f"started from {start.describe()}")
        if self.note is not None:
            lines.append(self.note)
        return "\n".join(lines)

    def _machine(self) -> str:
        known = [name for name in (self.device, self.processor) if name]
        return ", ".join(known) or f"a machine that is {NOT_RECORDED}"


class Provenance(Record):
    """Where a model's weights come from."""

    training: TrainingProvenance | None = Field(
        default=None, description="how they were trained; null: not recorded, or an average of several models' weights"
    )
    members: tuple[TrainingProvenance, ...] = Field(
        default=(), description="how the models were trained whose weights were averaged"
    )

    def describe_training(self) -> str:
        """Lines for people about the training, or about that of each member."""
        if self.members:
            parts = [f"average of the weights of {len(self.members)} models"]
            for number, member in enumerate(self.members):
                parts.append(f"member {number}: {member.describe()}")
            return "\n".join(parts)
        if self.training is None:
            return NOT_RECORDED
        return self.training.describe()

    def describe_origin(self) -> list[str]:
        """What it started from, the licences of that, and notes: a line for each of the three that there is."""
        names: list[str] = []
        licences: list[str] = []
        notes: list[str] = []
        for training in self._trainings():
            for start in training.started_from:
                _add_once(names, start.title or start.name)
                if start.licence is not None:
                    _add_once(licences, f"{start.licence} of {start.title or start.name}")
            if training.note is not None:
                _add_once(notes, training.note)
        lines = []
        if names:
            lines.append(f"started from: {'; before that '.join(names)}")
        if licences:
            lines.append(f"licence: {', '.join(licences)}; say that the weights were changed where you pass them on")
        if notes:
            lines.append(f"note: {'; '.join(notes)}")
        return lines

    def _trainings(self) -> list[TrainingProvenance]:
        """The training, or those of the members."""
        if self.training is not None:
            return [self.training]
        return [*self.members]


def _add_once(words: list[str], word: str) -> None:
    if word not in words:
        words.append(word)


def describe_git(git: GitState | None) -> str:
    """A commit, and whether files differed from it."""
    if git is None:
        return NOT_RECORDED
    if git.dirty:
        return f"{git.commit[:SHORT]} with uncommitted changes"
    return git.commit[:SHORT]


def describe_versions(versions: Mapping[str, str | None] | None) -> str:
    """Packages that are installed, with their versions."""
    if not versions:
        return NOT_RECORDED
    return ", ".join(f"{package} {version}" for package, version in versions.items() if version is not None)


def _short_hashes(hashes: Mapping[str, str] | None) -> str:
    if not hashes:
        return NOT_RECORDED
    return ", ".join(f"{split} {value[:SHORT]}" for split, value in hashes.items())


def _or_not_recorded(value: Any) -> str:
    if value is None:
        return NOT_RECORDED
    return str(value)


def _value(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; None if the config does not have it."""
    value: Any = config
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value
