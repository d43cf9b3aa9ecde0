"""The house: no import cycles, parts import no job and no torch, and --help does not wait."""

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

# What needs no tensor never imports torch: it belongs to the base install.
WITHOUT_TORCH = [
    "types",
    "geometry",
    "errors",
    "files",
    "progress",
    "cli",
    "labels.formats",
    "labels.ufo",
    "labels.icdar",
    "images",
    "data.cache",
    "data.pages",
    "data.check",
    "data.folds",
    "data.views",
    "data.augment",
    "data.targets",
    "synth.dataset",
    "postprocess.components",
    "postprocess.decoding",
    "postprocess.outlines",
    "postprocess.parameters",
    "postprocess.polygon_offset",
    "postprocess.unclip",
    "metrics.kernels",
    "metrics.shapes",
    "metrics.cleval",
    "metrics.iou",
    "metrics.scorer",
    "metrics.statistics",
    "metrics.bootstrap",
    "metrics.record",
    "metrics.tables",
    "metrics.breakdown",
    "runs.maps",
    "runs.folder",
    "runs.journal",
    "runs.manifest",
    "runs.metrics",
    "runs.predictions",
    "runs.scores",
    "runs.scoring",
    "runs.carried",
    "inference.metadata",
    "inference.exported",
    "inference.opening",
    "inference.trained",
    "inference.detector",
    "inference.formats",
    "inference.reading",
    "inference.inputs",
    "inference.prediction",
    "inference.evaluation",
    "inference.maps",
    "inference.networks",
    "inference.bundled",
    "ensemble.voting",
    "ensemble.detect",
    "tuning.scores",
    "tuning.grid",
    "tuning.choose",
    "tuning.search",
    "tuning.crossfit",
    "tuning.adoption",
    "tuning.fit",
    "tuning.result",
    "search.sweepfile",
    "search.trials",
    "search.stopping",
    "search.proposals",
    "search.overview",
    "execute.processes",
    "execute.queue",
    "execute.agent",
    "execute.pool",
    "execute.commands",
    "settings.config",
    "web.service",
    "web.studio",
    "web.studio_scores",
    "runs.pictures",
    "reports.sweep",
    "reports.figures",
    "reports.run",
    "reports.tuning_figures",
    "commands.data",
    "commands.report",
    "commands.studio",
    "commands.sweep",
    "commands.serve",
    "commands.compare",
    "commands.score",
    "runs.comparison",
]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hmean"):
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("hmean")}
    return found & set(MODULES) - {"hmean"}


def test_no_import_cycles():
    graph = {name: imports(path) for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for target in graph[name]:
                visit(target, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("part", ["data", "network", "metrics", "labels", "postprocess", "synth"])
def test_parts_know_no_config_and_no_job(part):
    for name, path in MODULES.items():
        if name.startswith(f"hmean.{part}."):
            assert not any(
                i.startswith(("hmean.commands", "hmean.settings.config", "hmean.cli", "hmean.runs.folder"))
                for i in imports(path)
            ), name


def test_base_modules_do_not_import_torch():
    code = f"import sys\nfor m in {WITHOUT_TORCH}: __import__('hmean.' + m)\nassert not {{'torch', 'lightning', 'timm'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_imports_next_to_nothing():
    code = "import sys\nfrom hmean.cli import main\nmain(['train', '--help'])\nassert not {'numpy', 'torch', 'hydra', 'pydantic', 'numba'} & set(sys.modules)"
    assert (
        "models.optimizer.lr"
        in subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    )


def test_no_module_is_a_drawer():
    assert not any(p.stem in ("utils", "util", "helpers", "common", "misc") for p in MODULES.values())
