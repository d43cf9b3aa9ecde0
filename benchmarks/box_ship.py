"""Put an exported model in the place of the bundled one.

usage: python benchmarks/box_ship.py FILE.onnx

Paths out of the repository, in the command line of its training and in its config, become DATA and FOLDER, as on the
pages of results.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import harness

from hmean.inference.bundled import BUNDLED
from hmean.inference.metadata import ExportedMetadata, read_metadata, write_metadata


def without_paths(metadata: ExportedMetadata) -> ExportedMetadata:
    """The same, naming no folder of the machine that trained it."""
    config = json.loads(harness.without_paths(json.dumps(metadata.config)))
    training = metadata.provenance.training
    if training.command is not None:
        command = [harness.without_paths(word) for word in training.command]
        training = training.model_copy(update={"command": command})
    provenance = metadata.provenance.model_copy(update={"training": training})
    return metadata.model_copy(update={"config": config, "provenance": provenance})


def main() -> None:
    """Copy and change."""
    source = Path(sys.argv[1])
    bundled = BUNDLED["receipts-lite"]
    shutil.copyfile(source, bundled)
    write_metadata(bundled, without_paths(read_metadata(source)))
    print(f"{bundled}: {bundled.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
