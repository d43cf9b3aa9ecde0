"""Sweeps whose agents, drivers, disks and databases fail. Nothing is lost, and nothing is done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import optuna
import pytest

from hmean.cli import main
from hmean.execute.commands import CommandPayload, CommandsPlan, open_commands
from hmean.execute.database import Database, patiently
from hmean.execute.queue import NewTask
from hmean.search.proposals import open_study
from support import postgresql
from support.sweeps import (
    BRISK,
    DECAY,
    FILE,
    HMEAN,
    LR,
    PATIENT,
    STORAGE,
    check_ended,
    go,
    let_time_pass,
    make_folder,
    plan,
    read_sweep,
    rows,
    start_agent,
    starts,
    trials_of,
    wait_for,
    work,
)

HOLD = {"hold": 2}  # in its third epoch


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """A working directory with a sweep file and its trainer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    make_folder(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def server():
    with postgresql.server() as running:
        if running is None:
            pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
        yield running


def test_an_agent_killed_in_mid_trial():
    plan(trial_00=HOLD)
    assert main(["sweep", "s.yaml", *PATIENT, "n=2", "agents=0"]) == 0
    killed = start_agent(STORAGE)
    wait_for(lambda: rows(0) == 2)
    killed.kill()
    killed.wait()
    queue = trials_of()
    assert [trial.state for trial in queue.tasks()] == ["running", "waiting"]
    let_time_pass(queue, 13)
    go()
    assert work() == 0
    found = check_ended(queue, 2)
    assert starts(0) == [0, 2]  # resumed, not begun again
    assert (found[0].attempt, starts(1)) == (2, [0])


def test_two_agents_at_once_on_an_empty_database():
    Path("outputs/s").mkdir(parents=True)
    agents = [start_agent(STORAGE) for _ in range(2)]
    wait_for(Path("outputs/s/sweep.db").exists)  # at least one has asked for its sweep
    assert main(["sweep", "s.yaml", *PATIENT, "n=4", "agents=0"]) == 0
    assert [agent.wait(120) for agent in agents] == [0, 0]
    check_ended(trials_of(), 4)
    assert all(len(starts(number)) == 1 for number in range(4))


def test_the_driver_killed_and_started_again():
    plan(trial_00=HOLD, trial_01=HOLD)
    command = ["sweep", "s.yaml", *PATIENT, "n=3", "agents=2"]
    driver = subprocess.Popen([*HMEAN, *command])
    wait_for(lambda: rows(0) == 2 and rows(1) == 2)
    driver.kill()
    driver.wait()
    queue = trials_of()
    wait_for(lambda: [trial.state for trial in queue.tasks()] == ["waiting"] * 3)  # its agents end with it
    go()
    assert main(command) == 0
    check_ended(queue, 3)
    assert [starts(number) for number in range(3)] == [[0, 2], [0, 2], [0]]


def test_stop_and_interrupt_keep_everything():
    plan(trial_00={"hold": 1})
    assert main(["sweep", "s.yaml", *BRISK, "n=2", "agents=0"]) == 0
    queue = trials_of()
    for started, how in enumerate(("stop", "interrupt"), start=1):
        main(["sweep", "s.yaml", *BRISK, "n=2", "agents=0"])
        agent = start_agent(STORAGE)
        wait_for(lambda: len(starts(0)) == started and rows(0) == 1)  # noqa: B023 - called before the next round
        if how == "stop":
            assert main(["sweep", "stop", "outputs/s"]) == 0
        else:
            agent.send_signal(signal.SIGINT)
        assert agent.wait(120) == 130
        assert [(trial.state, trial.attempt) for trial in queue.tasks()] == [("waiting", 0), ("waiting", 0)]
    assert starts(0) == [0, 1]


def test_a_full_disk_costs_no_trial(tmp_path, capsys):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(small)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk, and not everywhere")
    try:
        plan(trial_00="full")
        storage = f"sqlite:///{tmp_path}/s.db"
        options = ["n=1", "agents=0", f"output_dir={small}", f"storage={storage}"]
        assert main(["sweep", "s.yaml", *BRISK, *options]) == 0
        assert work(storage) == 2
        assert "the disk is full; make room" in capsys.readouterr().err
        queue = trials_of(storage)
        assert [(trial.state, trial.attempt) for trial in queue.tasks()] == [("waiting", 0)]
        next(small.rglob("filler")).unlink()
        plan()
        assert work(storage) == 0
        check_ended(queue, 1)
        assert starts(0) == [0, 1]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_the_database_restarted_in_mid_trial(server):
    """Two agents start in a database without tables; it is away while their trainings end."""
    plan(trial_00=HOLD, trial_01=HOLD)
    url = server.create_database()
    agents = [start_agent(url) for _ in range(2)]
    assert main(["sweep", "s.yaml", *PATIENT, "n=4", "agents=0", f"storage={url}"]) == 0
    wait_for(lambda: rows(0) == 2 and rows(1) == 2)
    server.stop()
    go()
    wait_for(lambda: rows(0) == 4 and rows(1) == 4)
    server.start()
    assert [agent.wait(120) for agent in agents] == [0, 0], Path("agents.txt").read_text()
    check_ended(trials_of(url), 4)
    assert all(len(starts(number)) == 1 for number in range(4))  # no training was lost for it


@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
def test_two_create_the_same_sweep_at_once(request, storage):
    """At the same instant, in a database without tables: one sweep comes of it."""
    url = "sqlite:///twice.db"
    if storage == "postgresql":
        url = request.getfixturevalue("server").create_database()
    file = read_sweep(Path("s.yaml"))
    barrier = Barrier(2)

    def create() -> int:
        database = Database(url)
        queue = open_commands(database, "twice")
        tasks = [NewTask(CommandPayload(command=[], folder="f")) for _ in range(5)]
        barrier.wait()
        patiently(lambda: open_study(database, "twice", file), 20)
        patiently(lambda: queue.create(CommandsPlan(grace=1, commands={}), tasks), 20)
        return len(queue.tasks())

    with ThreadPoolExecutor(2) as both:
        found = [both.submit(create) for _ in range(2)]
        assert [future.result() for future in found] == [5, 5]


def test_two_network_namespaces_as_two_machines(server):
    """Two agents, each with a network of its own that reaches the database over a veth pair."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    names = [f"hmean{os.getpid() % 10000}{side}" for side in "ab"]
    database = "far"
    url = server.create_database()
    database = url.rpartition("/")[2]
    try:
        for index, name in enumerate(names):
            make_namespace(name, f"10.213.{index}")
        plan(trial_00=HOLD)  # until the other agent has begun a trial too
        assert main(["sweep", "s.yaml", *PATIENT, "n=4", "agents=0", "name=far", f"storage={url}"]) == 0
        agents = []
        for index, name in enumerate(names):
            its_url = server.url(database, f"10.213.{index}.1")
            agents.append(start_agent(its_url, "far", ("ip", "netns", "exec", name)))
        wait_for(lambda: rows(0, "outputs/far") == 2 and rows(1, "outputs/far") > 0)
        go()
        assert [agent.wait(120) for agent in agents] == [0, 0], Path("agents.txt").read_text()
        found = check_ended(trials_of(url, "far"), 4)
        assert len({trial.owner for trial in found}) == 2
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def make_namespace(name: str, network: str) -> None:
    commands = [
        f"netns add {name}",
        f"link add {name} type veth peer name eth0 netns {name}",
        f"addr add {network}.1/24 dev {name}",
        f"link set {name} up",
        f"-n {name} addr add {network}.2/24 dev eth0",
        f"-n {name} link set eth0 up",
    ]
    for command in commands:
        if subprocess.run(["ip", *command.split()], check=False, capture_output=True).returncode:
            pytest.skip(f"network namespaces are not allowed here (ip {command})")


def test_a_sweep_of_an_earlier_version_goes_on():
    """Its database has slots, its folders are named after them, and its study knows trials by them."""
    about = {
        "sweep": FILE,
        "fixed": ["trainer.limit_train_batches=9"],
        "folder": "outputs/s",
        "seed": 42,
        "n": 2,
        "epochs": 4,
        "tune_each": False,
        "floor": 0.1,
        "grace": 12.0,
        "first": True,
    }
    rows_of_slot = [{"epoch": epoch, "val/hmean": 0.8, "seconds": 1.0} for epoch in range(4)]
    done = {
        "params": {LR: 0.0015, DECAY: 0.6},
        "agent": "host:1:a",
        "rows": rows_of_slot,
        "value": 0.8,
        "seconds": 4.0,
    }
    Path("outputs/s/slot_00").mkdir(parents=True)
    Path("outputs/s/slot_00/metrics.jsonl").write_text("\n".join(map(json.dumps, rows_of_slot)) + "\n")
    database = Database(STORAGE)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE hmean_queue (name VARCHAR(200) PRIMARY KEY, about TEXT, stopping INTEGER)"
        )
        connection.exec_driver_sql(
            "CREATE TABLE hmean_slot (queue VARCHAR(200), slot INTEGER, stage INTEGER, state VARCHAR(20), "
            "owner VARCHAR(200), beat DOUBLE PRECISION, attempt INTEGER, payload TEXT, result TEXT, "
            "PRIMARY KEY (queue, slot))"
        )
        connection.exec_driver_sql("INSERT INTO hmean_queue VALUES ('s', ?, 0)", (json.dumps(about),))
        slot = "INSERT INTO hmean_slot VALUES ('s', ?, 0, ?, '', 0, ?, ?, ?)"
        first = json.dumps({"params": {LR: 0.0015, DECAY: 0.6}})
        connection.exec_driver_sql(slot, (0, "done", 1, first, json.dumps(done)))
        connection.exec_driver_sql(slot, (1, "waiting", 0, json.dumps({"params": {}}), "{}"))
    study = open_study(database, "s", read_sweep(Path("s.yaml")))
    study.add_trial(
        optuna.trial.create_trial(
            params=done["params"],
            distributions=read_sweep(Path("s.yaml")).space,
            value=0.8,
            user_attrs={"slot": 0},
        )
    )
    assert main(["sweep", "s.yaml", *PATIENT, "n=2", "agents=0", "confirm=1", about["fixed"][0]]) == 0
    assert work() == 0
    queue = trials_of()
    assert [trial.state for trial in queue.tasks()] == ["done"] * 3
    assert len(study.trials) == 2
    assert sorted(path.name for path in Path("outputs/s").glob("*_*")) == ["slot_00", "trial_01", "trial_02"]
    assert main(["sweep", "report", "outputs/s"]) == 0
