"""A sweep that W&B's service runs: the service chooses the values, agents here train them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from hmean.execute.processes import visible_gpus
from hmean.search.sweepfile import SweepFile

DEFAULT_TRIALS = 12


def run_on_service(file: SweepFile, n: int | None, agents: int | None, overrides: Sequence[str]) -> str:
    """Create a sweep on W&B's service and run its agents on this machine, a GPU each; returns what to print.

    Args:
        file: the sweep file.
        n: how many trials at most; by default the ``run_cap`` of the file, or 12.
        agents: how many trials train at a time; by default one for each GPU.
        overrides: key=value that hold for every training.
    """
    import wandb  # noqa: PLC0415 - an extra

    n = n or file.config.get("run_cap", DEFAULT_TRIALS)
    project = file.config.get("project", "hmean")
    config = {**file.config, "run_cap": n, "command": [*file.command, *overrides]}
    sweep_id = wandb.sweep(config, project=project)
    address = f"{project}/{sweep_id}"
    entity = file.config.get("entity")
    if entity:
        address = f"{entity}/{address}"
    print("W&B chooses, scores and stops; tune_each, confirm, first and floor are for engine=optuna only", flush=True)
    count = agents or max(1, len(visible_gpus()))
    exit_codes = _run_agents(address, count)
    return f"{address}: {n} trials at most, {count} agents ended with exit codes {exit_codes}"


def _run_agents(address: str, count: int) -> list[int]:
    gpus = visible_gpus()
    processes = []
    for index in range(count):
        environment = dict(os.environ)
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
        command = [sys.executable, "-m", "wandb", "agent", address]
        processes.append(subprocess.Popen(command, env=environment))  # noqa: S603 - W&B's own agent
    try:
        return [process.wait() for process in processes]
    finally:
        for process in processes:
            process.terminate()
