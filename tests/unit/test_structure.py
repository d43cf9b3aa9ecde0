"""The house: vocabulary, engines, settings, commands. Imports go one way, and --help does not wait."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "hmean"
MODULES = {
    ".".join(["hmean", *p.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__"): p
    for p in SOURCE.rglob("*.py")
}
VOCABULARY = ["types", "errors", "geometry", "images", "files", "progress", "locks", "records", "plugins"]
# Nothing imports a room that stands after its own.
ROOMS = [
    "labels", "data", "synth", "postprocess", "metrics", "network", "runs", "inference", "training", "tuning",
    "ensemble", "crossval", "execute", "search", "campaign", "reports", "web", "settings", "commands",
]  # fmt: skip
ENGINES = ROOMS[: ROOMS.index("settings")]
DOORS = ["cli", "api", "__main__"]  # what calls commands

# What needs no tensor never imports torch: it belongs to the base install.
WITH_TORCH = [
    "data.datamodule", "data.dataset", "data.sampler", "data.teacher", "ensemble.weights", "inference.checkpoints", "inference.export",
    "inference.torch_runner", "network", "runs.checkpoints", "training", "settings.build_training",
    "commands.export", "commands.lr_find", "commands.train",
]  # fmt: skip


def imports(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hmean"):
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("hmean")}
    return found & set(MODULES) - {"hmean"}


def room(module):
    return module.split(".")[1] if "." in module else ""


def test_every_module_has_a_room():
    assert {room(name) for name in MODULES} - {""} == {*VOCABULARY, *ROOMS, *DOORS}


def test_nothing_imports_a_room_that_stands_after_its_own():
    order = {name: place for place, name in enumerate(ROOMS)}
    faults = []
    for module, path in MODULES.items():
        for target in imports(path):
            own, other = room(module), room(target)
            if own in VOCABULARY and other not in VOCABULARY:
                faults.append(f"{module} -> {target}")
            if own in order and (other in DOORS or order.get(other, -1) > order[own]):
                faults.append(f"{module} -> {target}")
    assert faults == []


def test_engines_know_no_settings_and_no_command():
    for module, path in MODULES.items():
        if room(module) in ENGINES:
            assert not {room(target) for target in imports(path)} & {"settings", "commands", *DOORS}, module


def test_commands_never_import_each_other():
    for module, path in MODULES.items():
        if room(module) == "commands":
            assert not {t for t in imports(path) if room(t) == "commands"} - {"hmean.commands", module}, module


def test_no_import_cycles():
    graph = {name: imports(path) for name, path in MODULES.items()}
    done = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for target in graph[name]:
                visit(target, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_base_modules_do_not_import_torch():
    belong_to_train = tuple(f"hmean.{name}" for name in WITH_TORCH)
    base = [n for n in MODULES if not n.startswith(belong_to_train) and n != "hmean.__main__"]
    code = (
        f"import sys, importlib\nfor m in {sorted(base)}: importlib.import_module(m)\n"
        "assert not {'torch', 'lightning', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("command", ["train", "predict", "sweep"])
def test_help_imports_next_to_nothing(command):
    code = (
        f"import sys\nfrom hmean.cli import main\nmain([{command!r}, '--help'])\n"
        "assert not {'numpy', 'torch', 'hydra', 'pydantic', 'numba'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert f"usage: hmean {command}" in done.stdout


def test_no_module_is_a_drawer():
    assert not any(p.stem in ("utils", "util", "helpers", "common", "misc") for p in MODULES.values())
