"""Classes and functions named by ``_target_``: found, checked against their signature, called.

``_target_`` is how users plug in an encoder, decoder, head, loss, optimizer or scheduler of their own.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pydantic

from hmean.errors import InputError

# Modules in which every callable makes a component and does nothing else: what any checkpoint may name.
TRUSTED_MODULES = (
    "hmean.network.encoder.",
    "hmean.network.lcnet.",
    "hmean.network.lcnet_v3.",
    "hmean.network.hgnet.",
    "hmean.network.decoder.",
    "hmean.network.rse_fpn.",
    "hmean.network.lk_pan.",
    "hmean.network.head.",
    "hmean.network.losses.",
    "hmean.training.schedules.",
    "torch.optim.",
)
# Where the modules of earlier versions are now: their checkpoints and presets name the old ones.
MOVED_MODULES = {
    "hmean.models": "hmean.network",
    "hmean.losses": "hmean.network.losses",
    "hmean.schedules": "hmean.training.schedules",
}
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def present_name(target: str) -> str:
    """The name that a target has in this version."""
    for old, new in MOVED_MODULES.items():
        if target.startswith(f"{old}."):
            return new + target.removeprefix(old)
    return target


@dataclass(frozen=True)
class Component:
    """A class or function by its dotted name, and the arguments that the config gives it.

    Attributes:
        key: where the config names it, such as ``models.encoder``; for messages.
        target: dotted name, such as ``hmean.network.encoder.TimmEncoder``.
        arguments: keyword arguments from the config.
        supplied: names of the arguments that hmean supplies, so that a config must not.
    """

    key: str
    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    supplied: tuple[str, ...] = ()

    def resolve(self) -> Callable[..., Any]:
        """Import the class or function.

        Raises:
            InputError: if it cannot be imported or called.
        """
        module, _, name = self.target.rpartition(".")
        try:
            found: Callable[..., Any] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise InputError(f"{self.key}._target_: {self.target} cannot be imported ({error})") from error
        if not callable(found):
            raise InputError(f"{self.key}._target_: {self.target} is neither a class nor a function")
        return found

    def accepts(self, argument: str) -> bool:
        """Whether the signature has an argument of this name."""
        return argument in inspect.signature(self.resolve()).parameters

    def build(self, **supplied: Any) -> Any:
        """Call it with the arguments of the config and those of ``supplied`` that its signature takes.

        Raises:
            InputError: if it refuses them.
        """
        target = self.resolve()
        known = inspect.signature(target).parameters
        taken = {name: value for name, value in supplied.items() if name in known}
        try:
            return target(**taken, **self.arguments)
        except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: torch, for layers of impossible size
            raise InputError(f"{self.key}: {self.target} does not accept these arguments ({error})") from error

    def is_trusted(self, packages: Sequence[str]) -> bool:
        """Whether a checkpoint may name it: it is hmean's own, torch's, or of one of these packages."""
        own = tuple(f"{package}." for package in packages)
        return self.target.startswith((*TRUSTED_MODULES, *own))

    def faults(self) -> list[str]:
        """What is wrong with the arguments, one sentence each; nothing is called.

        Types are checked where the target is one of hmean's own, or an annotation is a plain type.
        """
        try:
            target = self.resolve()
        except InputError as error:
            return [str(error)]
        parameters = inspect.signature(target).parameters.values()
        known = [p.name for p in parameters if p.kind not in _VARIABLE and p.name not in self.supplied]
        required = [p.name for p in parameters if p.name in known and p.default is inspect.Parameter.empty]
        found = []
        for name in required:
            if name not in self.arguments:
                found.append(f"{self.key}.{name}: is required by {self.target.rpartition('.')[2]}")
        for name in self.arguments:
            if name in self.supplied:
                found.append(f"{self.key}.{name}: is set by hmean; remove it")
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            return found
        for name in self.arguments:
            if name not in known and name not in self.supplied:
                found.append(f"{self.key}.{name}: unknown key{did_you_mean(name, known)}")
        return found + self._type_faults(target)

    def _type_faults(self, target: Callable[..., Any]) -> list[str]:
        is_ours = getattr(target, "__module__", "").startswith("hmean.")
        annotated = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]  # read, not called
        hints = typing.get_type_hints(annotated)
        found = []
        for name, value in self.arguments.items():
            if name not in hints:
                continue
            # Annotations of other packages are often looser or stricter than what they take.
            if not is_ours and hints[name] not in (int, float, bool, str):
                continue
            try:
                pydantic.TypeAdapter(hints[name]).validate_python(value, strict=True)
            except pydantic.ValidationError as error:
                message = error.errors()[0]["msg"]
                found.append(f"{self.key}.{name}: {message[0].lower()}{message[1:]}, got {value!r}")
        return found


def check_components(components: Sequence[Component], trusted: Sequence[str] | None = None) -> None:
    """Check all components.

    Args:
        components: to check.
        trusted: for components that a checkpoint names: packages whose classes it may name beside hmean's own. A
            checkpoint must not be able to call any function that it likes. None: the user named them.

    Raises:
        InputError: listing every fault of all of them.
    """
    faults = []
    for component in components:
        if trusted is not None and not component.is_trusted(trusted):
            package = component.target.partition(".")[0]
            faults.append(
                f"{component.key}._target_: {component.target} is not part of hmean; if you trust this checkpoint, "
                f"add trusted_targets=[{package}]"
            )
        else:
            faults.extend(component.faults())
    if faults:
        raise InputError.listing("The config has faults:", faults)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint for a mistyped word, or nothing."""
    last_part = word.rsplit(".", 1)[-1]
    same_last_part = [key for key in known if key.rsplit(".", 1)[-1] == last_part]
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6) or same_last_part[:1]
    if not close:
        return ""
    return f"; did you mean {close[0]}?"
