"""A sweep and its faults, really done: agents, drivers and databases are killed. The training is a script of milliseconds."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from wsgiref.util import setup_testing_defaults

import optuna
import optuna_dashboard
import pytest
import yaml
from optuna.trial import TrialState

from hmean.cli import main
from hmean.commands import sweep
from hmean.errors import InputError
from hmean.execute import slots
from hmean.execute.slots import Queue, run_commands
from hmean.reports.sweep import _others
from hmean.search import trials
from hmean.search.sweepfile import read_sweep
from support.pages import TINY

ROOT = Path(__file__).parents[2]
HMEAN = [sys.executable, "-c", "import sys; from hmean.cli import main; sys.exit(main())"]
LR, DECAY = "models.optimizer.lr", "models.scheduler.decay"
FILE = {
    "program": "fake_train.py",
    "method": "bayes",
    "metric": {"name": "val/hmean", "goal": "maximize"},
    "run_cap": 4,
    "parameters": {LR: {"distribution": "log_uniform_values", "min": 0.0004, "max": 0.006}, DECAY: {"distribution": "uniform", "min": 0.3, "max": 0.95}},
    "command": ["${env}", "${interpreter}", "${program}", "preset=quickstart", "trainer.max_epochs=4", "${args_no_hyphens}"],
}  # fmt: skip
COMMON = ["engine=optuna", "tune_each=false", "grace=12"]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working directory with a sweep file and its trainer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    shutil.copy(Path(__file__).parents[1] / "support" / "fake_train.py", tmp_path)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(FILE))
    plan()
    return tmp_path


def plan(**told) -> None:
    Path("plan.json").write_text(json.dumps(told))


def starts(slot: int) -> list[int]:
    """The epoch at which each start of a slot's trainer began."""
    log = Path("starts.txt")
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [int(epoch) for name, epoch, *_ in lines if name == f"slot_{slot:02d}"]


def agent(url: str, name: str = "s", prefix: tuple[str, ...] = ()) -> subprocess.Popen:
    with Path("agents.txt").open("a") as log:
        return subprocess.Popen([*prefix, *HMEAN, "sweep", "agent", url, name], stdout=log, stderr=log)


def wait_for(condition, seconds=200) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def rows(slot: int, name: str = "s") -> int:
    path = Path(f"outputs/{name}/slot_{slot:02d}/metrics.jsonl")
    return len(path.read_text().splitlines()) if path.exists() else 0


def open_study(queue: Queue) -> optuna.Study:
    return trials.open_study(queue, read_sweep(Path("s.yaml")))


def check_ended(queue: Queue, n: int, states: dict[int, str] | None = None) -> list:
    """Exactly n slots ended, each once, and Optuna's study says the same."""
    found = queue.slots()
    assert len(found) == n
    assert {s.slot: s.state for s in found} == dict.fromkeys(range(n), "done") | (states or {})
    study = open_study(queue)
    assert sorted(t.user_attrs["slot"] for t in study.trials) == list(range(n))
    assert {t.state for t in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    for trial in study.trials:
        slot = found[trial.user_attrs["slot"]]
        assert (
            trial.state
            == {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}[slot.state]
        )
        assert slot.state != "done" or trial.value == slot.result["value"]
    return found


def test_a_sweep_with_runs_that_misbehave(here, capfd):
    plan(slot_01="nan", slot_02="fail", slot_03="low")
    assert main(["sweep", "s.yaml", *COMMON, "n=6", "agents=2"]) == 0
    queue = Queue("sqlite:///outputs/s/sweep.db", "s")
    found = check_ended(queue, 6, {1: "failed", 2: "failed", 3: "stopped"})
    assert found[0].result["params"] == {LR: 0.0015, DECAY: 0.6}  # the preset's own values come first
    assert found[0].result["value"] == pytest.approx(0.903)
    assert "no finite val/hmean" in found[1].result["reason"]
    assert (starts(2), found[2].attempt) == ([0, 1, 1], 3)
    assert "it cannot be done" in found[2].result["reason"]
    stop = found[3].result["stop"]
    assert (stop["rule"], stop["value"], stop["threshold"]) == ("floor", 0.01, 0.1)
    assert stop["validations"] == 3  # 60 % of 4 epochs
    assert all(starts(i) == [0] for i in (0, 1, 3, 4, 5))
    study = open_study(queue)
    (first,) = (trial for trial in study.trials if trial.user_attrs["slot"] == 0)
    assert len(first.intermediate_values) == 4

    capfd.readouterr()
    before = Path("starts.txt").read_text()
    assert main(["sweep", "s.yaml", *COMMON, "n=6", "agents=1"]) == 0  # nothing is left to do
    assert Path("starts.txt").read_text() == before
    assert "0.9030" in capfd.readouterr().out
    assert main(["sweep", "s.yaml", *COMMON, "n=7"]) == 2
    assert "n: was 6, now 7" in capfd.readouterr().err
    assert main(["sweep", "doctor", "outputs/s"]) == 0
    assert "slot 2: failed" in capfd.readouterr().out

    assert main(["sweep", "s.yaml", *COMMON, "n=6", "agents=1", "confirm=2"]) == 0
    best = trials.ranked(queue.slots(), 1)
    again = queue.slots()[6:]
    assert [s.result["params"] for s in again] == [s.result["params"] for s in best[:2]]
    assert [line.split()[2] for line in Path("starts.txt").read_text().splitlines()[-2:]] == ["43", "43"]
    assert len(open_study(queue).trials) == 6

    dashboard = webtest(optuna_dashboard.wsgi("sqlite:///outputs/s/sweep.db"))
    (summary,) = dashboard("/api/studies")["study_summaries"]
    assert summary["study_name"] == "s"
    trials_shown = dashboard(f"/api/studies/{summary['study_id']}?after=0")["trials"]
    # In the order in which two agents began them, which is not always that of the slots.
    assert sorted(t["state"] for t in trials_shown) == ["Complete"] * 3 + ["Fail"] * 2 + ["Pruned"]


def webtest(app):
    """JSON of a WSGI application's pages."""

    def get(address):
        return json.loads(b"".join(app(environ(address), lambda status, *_: status)))

    def environ(address):
        path, _, query = address.partition("?")
        found = {"PATH_INFO": path, "QUERY_STRING": query}
        setup_testing_defaults(found)
        return found

    return get


def test_an_agent_killed_in_mid_trial(here):
    plan(seconds=0.5)
    assert main(["sweep", "s.yaml", *COMMON, "n=2", "agents=0"]) == 0
    first = agent("sqlite:///outputs/s/sweep.db")
    wait_for(lambda: rows(0) >= 2)
    first.kill()
    first.wait()
    second = agent("sqlite:///outputs/s/sweep.db")
    assert second.wait(240) == 0
    found = check_ended(Queue("sqlite:///outputs/s/sweep.db", "s"), 2)
    assert len(starts(0)) == 2
    assert starts(0)[1] >= 2  # resumed, not begun again
    assert (found[0].attempt, starts(1)) == (2, [0])


def test_two_agents_at_once_on_an_empty_database(here):
    Path("outputs/s").mkdir(parents=True)
    agents = [agent("sqlite:///outputs/s/sweep.db") for _ in range(2)]
    time.sleep(2)
    assert main(["sweep", "s.yaml", *COMMON, "n=4", "agents=0"]) == 0
    assert [a.wait(240) for a in agents] == [0, 0]
    check_ended(Queue("sqlite:///outputs/s/sweep.db", "s"), 4)
    assert all(len(starts(i)) == 1 for i in range(4))


def test_the_driver_killed_and_started_again(here):
    plan(seconds=0.4)
    command = ["sweep", "s.yaml", *COMMON, "n=3", "agents=2"]
    driver = subprocess.Popen([*HMEAN, *command])
    wait_for(lambda: rows(0) >= 1 and rows(1) >= 1)
    driver.kill()
    driver.wait()
    assert main(command) == 0
    check_ended(Queue("sqlite:///outputs/s/sweep.db", "s"), 3)
    assert all(sum(1 for epoch in starts(i) if epoch == 0) == 1 for i in range(3))


def test_stop_and_interrupt_keep_everything(here):
    plan(seconds=1.5)  # an agent looks whether it is to stop every half second: grace / 6
    assert main(["sweep", "s.yaml", *COMMON, "grace=3", "n=2", "agents=0"]) == 0
    queue = Queue("sqlite:///outputs/s/sweep.db", "s")
    for started, how in enumerate(("stop", "interrupt"), start=1):
        queue.stop(0)
        working = agent("sqlite:///outputs/s/sweep.db")
        wait_for(lambda: len(starts(0)) == started and rows(0) >= 1)  # noqa: B023 - called before the next round
        if how == "stop":
            assert main(["sweep", "stop", "outputs/s"]) == 0
        else:
            working.send_signal(signal.SIGINT)
        assert working.wait(240) == 130
        assert [(s.state, s.attempt) for s in queue.slots()] == [("waiting", 0), ("waiting", 0)]
    assert starts(0)[1] >= 1


def test_a_full_disk_costs_no_slot(here, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(small)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk, and not everywhere")
    try:
        plan(slot_00="full")
        storage = f"sqlite:///{tmp_path}/s.db"
        assert main(["sweep", "s.yaml", *COMMON, "n=1", "agents=0", f"output_dir={small}", f"storage={storage}"]) == 0
        first = agent(storage)
        assert first.wait(240) == 2
        assert "the disk is full; make room" in Path("agents.txt").read_text()
        assert [(s.state, s.attempt) for s in Queue(storage, "s").slots()] == [("waiting", 0)]
        next(small.rglob("filler")).unlink()
        plan()
        assert agent(storage).wait(240) == 0
        check_ended(Queue(storage, "s"), 1)
        assert starts(0) == [0, 1]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


class Server:
    """PostgreSQL from Debian's package, in a folder of its own."""

    def __init__(self, folder: Path, binaries: Path, port: int) -> None:
        self.folder, self.binaries, self.port = folder, binaries, port
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.run("initdb", "-D", str(folder), "-U", "hmean", "-A", "trust", "--no-sync")
        with (folder / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 trust\n")

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self.as_user, str(self.binaries / program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/"
        )

    def start(self) -> None:
        self.run(
            "pg_ctl",
            "-D",
            str(self.folder),
            "-w",
            "-l",
            str(self.folder / "log"),
            "-o",
            f"-p {self.port} -k {self.folder} -c listen_addresses='*' -c fsync=off",
            "start",
        )

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder), "-m", "immediate", "stop")

    def url(self, host: str = "127.0.0.1") -> str:
        return f"postgresql://hmean@{host}:{self.port}/postgres"


@pytest.fixture(scope="module")
def server():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(p) for p in [shutil.which("initdb")] if p]
    if not found:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="hmean-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    server = Server(folder, found[-1].parent, 20000 + os.getpid() % 20000)
    server.start()
    yield server
    with contextlib.suppress(subprocess.CalledProcessError):
        server.stop()
    shutil.rmtree(folder)


def test_the_database_restarted_in_mid_trial(here, server):
    """Two agents start on a database without tables; then it is stopped and started again under them."""
    plan(seconds=0.6)
    agents = [agent(server.url()) for _ in range(2)]
    assert main(["sweep", "s.yaml", *COMMON, "n=4", "agents=0", f"storage={server.url()}"]) == 0
    wait_for(lambda: rows(0) >= 1 and rows(1) >= 1)
    server.stop()
    time.sleep(2)
    server.start()
    assert [a.wait(240) for a in agents] == [0, 0], Path("agents.txt").read_text()
    check_ended(Queue(server.url(), "s"), 4)
    assert all(len(starts(i)) == 1 for i in range(4))  # no training was lost for it


def test_many_make_the_same_sweep_at_once(here, server):
    """Two drivers at the same instant, on no tables: one sweep comes of it."""
    code = (
        "import sys; from hmean.execute.slots import Queue, patiently; from hmean.search.trials import open_study; from hmean.search.sweepfile import read_sweep; from pathlib import Path\n"
        "sweep = read_sweep(Path('s.yaml')); sys.stdin.readline()\n"
        "queue = Queue(sys.argv[1], 'twice'); patiently(lambda: open_study(queue, sweep), 20)\n"
        "patiently(lambda: queue.create({'a': 1}, [(0, {'params': {}})] * 5), 20); print(len(queue.slots()))"
    )
    for url in ("sqlite:///twice.db", server.url() + "2"):
        if url.startswith("postgres"):
            server.run("createdb", "-h", "127.0.0.1", "-p", str(server.port), "-U", "hmean", "postgres2")
        both = [
            subprocess.Popen(
                [sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        assert [p.communicate("go\n", timeout=240)[0] for p in both] == ["5\n", "5\n"]


def test_two_network_namespaces_as_two_machines(here, server):
    """Two agents, each with a network of its own that reaches the database over a veth pair."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    names = [f"hmean{os.getpid() % 10000}{side}" for side in "ab"]
    try:
        for i, name in enumerate(names):
            for line in (
                f"netns add {name}", f"link add {name} type veth peer name eth0 netns {name}", f"addr add 10.213.{i}.1/24 dev {name}",
                f"link set {name} up", f"-n {name} addr add 10.213.{i}.2/24 dev eth0", f"-n {name} link set eth0 up",
            ):  # fmt: skip
                if subprocess.run(["ip", *line.split()], check=False, capture_output=True).returncode:
                    pytest.skip(f"network namespaces are not allowed here (ip {line})")
        plan(seconds=0.3)
        assert main(["sweep", "s.yaml", *COMMON, "n=4", "agents=0", "name=far", f"storage={server.url()}"]) == 0
        agents = [
            agent(server.url(f"10.213.{i}.1"), "far", ("ip", "netns", "exec", name)) for i, name in enumerate(names)
        ]
        assert [a.wait(240) for a in agents] == [0, 0], Path("agents.txt").read_text()
        found = check_ended(Queue(server.url(), "far"), 4)
        assert len({s.owner for s in found}) == 2
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


# --- other lists of commands ----------------------------------------------------------------------------------------


def test_other_commands_go_through_the_same_queue(here, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    code = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(os.environ['CUDA_VISIBLE_DEVICES']); import time; time.sleep(2)"
    commands = {f"fold_{i}": [sys.executable, "-c", code, f"{i}.txt"] for i in range(3)} | {
        "bad": [sys.executable, "-c", "1/0"],
        "wrong": [sys.executable, "-c", "import sys; print('no such key'); sys.exit(2)"],
    }
    found = run_commands(commands, Path("folds"), agents=2, grace=5)
    assert {name: slot.state for name, slot in found.items()} == {
        "fold_0": "done",
        "fold_1": "done",
        "fold_2": "done",
        "bad": "failed",
        "wrong": "failed",
    }
    assert (found["bad"].attempt, found["wrong"].attempt) == (3, 1)  # wrong input stays wrong
    assert found["wrong"].result["reason"] == "exit code 2: no such key"
    assert "ZeroDivisionError" in found["bad"].result["reason"]
    assert {Path(f"{i}.txt").read_text() for i in range(3)} == {"3", "5"}
    with pytest.raises(InputError, match=r"commands\.x: was None"):
        run_commands({"x": ["true"]}, Path("folds"))


def test_what_a_dead_agent_left_running_is_ended_first(here, monkeypatch):
    """Where children do not die with their agent, the lock on the folder tells of them."""
    monkeypatch.setattr(slots, "_WITH_US", [])
    queue = Queue("sqlite:///q.db", "q")
    queue.create({}, [(0, {"command": ["sleep", "60"], "folder": "f"})])
    slot = queue.claim(60)
    with slots._folder_of_our_own(Path("f")) as lock:
        orphan = subprocess.Popen(["sleep", "60"], start_new_session=True, pass_fds=[lock.fileno()])
        print(f"{slots.socket.gethostname()}:{orphan.pid}", file=lock, flush=True)
    assert slot.slot == 0
    with slots._folder_of_our_own(Path("f")):
        assert orphan.wait(5) == -signal.SIGKILL


def test_only_the_owner_ends_a_slot_and_stages_come_in_turn(here):
    mine, other = Queue("sqlite:///q.db", "q"), Queue("sqlite:///q.db", "q")
    mine.create({}, [(0, {}), (1, {})])
    slot = mine.claim(60)
    assert other.claim(60) is None  # the second stage waits for the first
    time.sleep(0.05)
    taken = other.claim(0.01)  # our lease ran out
    assert (taken.slot, taken.attempt) == (0, 2)
    assert not mine.put(slot, "done", {})
    assert other.put(taken, "done", {"value": 1})
    assert not other.put(taken, "done", {"value": 2})
    assert mine.claim(60).slot == 1
    time.sleep(0.05)
    for _ in range(2):
        time.sleep(0.02)
        assert other.claim(0.01).slot == 1
    time.sleep(0.05)
    assert other.claim(0.01) is None
    assert [s.state for s in mine.slots()] == ["done", "failed"]


def test_a_slot_whose_agents_died_keeps_what_is_known(here):
    queue = Queue("sqlite:///q.db", "q")
    queue.create({}, [(0, {})])
    for _ in range(3):
        assert queue.put(queue.claim(0.01), "running", {"params": {"a": 1}, "rows": [1]})
        time.sleep(0.05)
    queue.reap(0.01)
    assert queue.slots()[0].state == "failed"
    assert queue.slots()[0].result == {"params": {"a": 1}, "rows": [1], "reason": "its agents died"}


def test_a_failed_slot_has_no_values_of_the_slot_before(here, monkeypatch):
    assert main(["sweep", "s.yaml", *COMMON, "n=2", "agents=0"]) == 0
    runs = sweep.open_runs(["outputs/s"])
    ask = trials.propose

    def refuse_the_second(study, space, slot, fixed):
        if slot:
            raise InputError("no values")
        return ask(study, space, slot, fixed)

    monkeypatch.setattr(trials, "propose", refuse_the_second)
    slots.work(runs.queue, runs, 12)
    first, second = runs.queue.slots()
    assert (first.state, second.state) == ("done", "failed")
    assert second.result == {"rows": [], "reason": "no values"}


def test_only_what_has_a_score_is_repeated(here, capfd):
    assert main(["sweep", "s.yaml", *COMMON, "n=2", "confirm=3"]) == 2
    assert "confirm=3: there are only 2 runs to repeat" in capfd.readouterr().err
    plan(slot_01="fail")
    assert main(["sweep", "s.yaml", *COMMON, "n=2", "agents=1", "confirm=2"]) == 0
    found = Queue("sqlite:///outputs/s/sweep.db", "s").slots()
    assert [s.state for s in found] == ["done", "failed", "done", "stopped"]
    assert "reason: no run to repeat: only 1 with a score" in capfd.readouterr().out


def test_the_search_says_nothing_of_its_own():
    """Optuna warns of what is experimental, and of what its next major version drops."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trials.make_sampler("bayes", 12, 0)


# --- before anything runs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sweep_efficientnet_b4_lr_optimized", "sweep_receipts_lite"])
def test_every_range_of_a_shipped_sweep_reaches_the_config(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = read_sweep(ROOT / f"configs/{name}.yaml")
    preset = sweep.check(found, [], tune_each=True)
    assert set(sweep.first_point(found, preset)) == set(found.space)  # the preset is inside of the ranges


@pytest.mark.parametrize(("change", "told"), [
    ({"parameters": {LR: {"values": [0.001, -1.0]}}}, f"parameters.{LR} = -1.0: The config has faults:   - {LR}: input should be greater than 0"),
    ({"parameters": {"models.optimizer.beta": {"values": [1]}}}, "models.optimizer.beta"),
    ({"parameters": {LR: {"values": [0.001]}, "datasets.val_dataset.annotation_path": {"values": [None]}}}, "annotation_path: None reaches the config as 'None'"),
    ({"parameters": {LR: {"distribution": "q_uniform", "min": 0.001, "max": 0.002, "q": 0}}}, "q above 0"),
    ({"parameters": {LR: {"min": 0.001, "max": float("inf")}}}, "must be finite"),
    ({"command": None}, "command: None is not of type"),
    ({"metric": {"name": "val/f1", "goal": "maximize"}}, "val/f1 is not measured"),
    ({"program": "absent.py"}, "there is no absent.py"),
    ({"command": ["${program}", "${args}"]}, "use ${args_no_hyphens}"),
])  # fmt: skip
def test_faults_are_told_before_anything_runs(here, capsys, change, told):
    Path("s.yaml").write_text(yaml.safe_dump({**FILE, **change}))
    assert main(["sweep", "s.yaml", *COMMON, "agents=1"]) == 2
    assert told in capsys.readouterr().err
    assert not Path("outputs").exists()


def test_all_faults_come_in_one_message(here, capsys):
    """Of the options, the file, what holds for every run, and the parameters; each once."""
    change = {"method": "tpe", "parameters": {LR: {"values": [0.001, -1.0]}, DECAY: {"min": 2.0, "max": 1.0}}}
    Path("s.yaml").write_text(yaml.safe_dump({**FILE, **change}))
    assert main(["sweep", "s.yaml", "engine=optuna", "n=none", "agents=-1", "trainer.max_epochs=x", "nonsense=1"]) == 2
    told = capsys.readouterr().err
    for part in (
        "n: ", "agents: ", "s.yaml: method: ", f"s.yaml: parameters.{DECAY}: ", "trainer.max_epochs: ", "nonsense: ",
        f"parameters.{LR} = -1.0: ",
    ):  # fmt: skip
        assert sum(told[i - 1] in " \n" for i in range(1, len(told)) if told.startswith(part, i)) == 1, (part, told)


@pytest.mark.parametrize(("words", "told"), [
    (["status", "sqlite:///nope/x.db", "foo"], "no sweep 'foo'"),
    (["agent", "sqlite:///x.db"], "hmean sweep agent takes URL and NAME"),
    (["import", "x.csv"], "hmean sweep import takes FOLDER and TABLE.csv"),
])  # fmt: skip
def test_a_wrong_command_says_so_at_once_and_makes_nothing(here, capsys, words, told):
    before, start = sorted(here.iterdir()), time.monotonic()
    assert main(["sweep", *words]) == 2
    assert told in capsys.readouterr().err
    assert time.monotonic() - start < 4
    assert sorted(here.iterdir()) == before


def test_a_changed_file_names_what_changed_and_nothing_done_is_no_report(here, capsys):
    assert main(["sweep", "s.yaml", *COMMON, "agents=0"]) == 0
    Path("s.yaml").write_text(yaml.safe_dump({**FILE, "method": "random"}))
    assert main(["sweep", "s.yaml", *COMMON, "agents=0"]) == 2
    told = capsys.readouterr().err
    assert "sweep.method: was 'bayes', now 'random'" in told
    assert LR not in told
    assert main(["sweep", "report", "outputs/s"]) == 2
    assert "no run has a score yet" in capsys.readouterr().err


def test_a_grid_is_run_whole_or_says_where_it_is_cut(here, capsys):
    grid = {
        **FILE,
        "method": "grid",
        "parameters": {LR: {"values": [0.001, 0.002, 0.003, 0.004]}, DECAY: {"values": [0.4, 0.5, 0.6, 0.7]}},
    }
    del grid["run_cap"]
    Path("s.yaml").write_text(yaml.safe_dump(grid))
    assert main(["sweep", "s.yaml", *COMMON, "agents=0"]) == 0
    assert len(Queue("sqlite:///outputs/s/sweep.db", "s").slots()) == 16
    assert main(["sweep", "s.yaml", *COMMON, "agents=0", "n=5", "name=cut"]) == 0
    assert "5 of the 16 points" in capsys.readouterr().out


def test_a_floor_holds_for_what_is_lowered_too(here):
    """A loss of 0.3 is better than the floor of 0.5, one of 0.9 is not; the record says what was measured."""
    Path("s.yaml").write_text(yaml.safe_dump({**FILE, "metric": {"name": "train/loss", "goal": "minimize"}}))
    assert main(["sweep", "s.yaml", *COMMON, "n=1", "agents=0", "floor=0.5"]) == 0
    runs = sweep.open_runs(["outputs/s"])
    slot = runs.queue.claim(60)
    file = runs.folder(slot) / "metrics.jsonl"
    file.parent.mkdir(parents=True)
    for loss, stopped in ((0.3, False), (0.9, True)):
        file.write_text("".join(json.dumps({"epoch": e, "train/loss": loss}) + "\n" for e in range(3)))
        _, stop = runs.progress(slot)
        assert (stop is not None) == stopped
    assert (stop["rule"], stop["value"], stop["threshold"]) == ("floor", 0.9, 0.5)


def test_a_sweep_of_which_nothing_came_is_no_success(here, capsys, monkeypatch):
    plan(slot_00="fail")
    assert main(["sweep", "s.yaml", *COMMON, "n=1", "agents=1"]) == 2
    assert "every run failed" in capsys.readouterr().err
    monkeypatch.chdir("/")  # a sweep's folder is found from anywhere
    assert main(["sweep", "status", str(here / "outputs/s")]) == 0
    assert (
        sweep.open_runs([str(here / "outputs/s")])
        .folder(Queue(f"sqlite:///{here}/outputs/s/sweep.db", "s").slots()[0])
        .is_dir()
    )
    assert main(["sweep", "status", str(here)]) == 2
    assert "holds no sweep.db" in capsys.readouterr().err


def test_runs_of_a_table_warm_the_search(here, capsys):
    assert main(["sweep", "s.yaml", *COMMON, "agents=0"]) == 0
    Path("good.csv").write_text(f"\ufeff{LR},{DECAY},val/hmean\n1e-3,0.5,0.91\n0.002,0.6,0.93\n0.002,0.6,0.93\n")
    Path("bad.csv").write_text(f"{LR},{DECAY},val/hmean\n0.1,0.5,0.91\n0.001,0.6,96.4\n")
    assert main(["sweep", "import", "outputs/s", "bad.csv"]) == 2
    told = capsys.readouterr().err
    assert f"line 2: {LR} 0.1 is out of range" in told
    assert "line 3: val/hmean 96.4 is no score" in told
    Path("loss.yaml").write_text(yaml.safe_dump({**FILE, "metric": {"name": "train/loss", "goal": "minimize"}}))
    assert main(["sweep", "loss.yaml", *COMMON, "agents=0"]) == 0
    Path("nan.csv").write_text(f"{LR},{DECAY},train/loss\n0.001,0.5,nan\n0.001,0.6,inf\n0.001,0.6,0.5\n")
    assert main(["sweep", "import", "outputs/loss", "nan.csv"]) == 2
    told = capsys.readouterr().err
    assert "line 2: train/loss nan is no finite number" in told
    assert "line 3: train/loss inf is no finite number" in told
    Path("short.csv").write_text(f"{LR};val/hmean\n0.001;[1\n")
    assert main(["sweep", "import", "outputs/s", "short.csv"]) == 2
    assert f"has no column {LR}, {DECAY}, val/hmean" in capsys.readouterr().err
    for told in ("2 runs imported, 1 were there", "0 runs imported, 3 were there"):
        capsys.readouterr()
        assert main(["sweep", "import", "outputs/s", "good.csv"]) == 0
        assert told in capsys.readouterr().out
    study = open_study(Queue("sqlite:///outputs/s/sweep.db", "s"))
    assert [(t.value, t.user_attrs["imported"]) for t in study.trials] == [(0.91, "good.csv"), (0.93, "good.csv")]


# --- the real training, W&B, and what is beside a sweep -------------------------------------------------------------


def test_a_sweep_of_real_trainings_with_tuned_thresholds(here, receipts, capsys):
    """Two runs of the real job on a tiny network: scores are cross-fitted, the report says what it can and cannot say."""
    told = {
        **FILE,
        "program": str(ROOT / "runners/train.py"),
        "parameters": {LR: {"values": [0.001, 0.002]}},
        "method": "grid",
    }
    told["command"] = ["${env}", "${interpreter}", "${program}", "preset=receipts_lite", "${args_no_hyphens}"]
    Path("real.yaml").write_text(yaml.safe_dump(told))
    grid = [
        "tune.thresh=[0.2,0.3]",
        "tune.box_thresh=[0.3]",
        "tune.inverse_r=[]",
        "tune.unclip_ratio=[1.0,1.5]",
        "tune.folds=2",
    ]
    command = [
        "sweep",
        "real.yaml",
        "engine=optuna",
        "agents=1",
        "confirm=1",
        *TINY[1:],
        f"dataset_base_path={receipts}",
        *grid,
    ]
    assert main(command) == 0
    queue = Queue("sqlite:///outputs/real/sweep.db", "real")
    found = queue.slots()
    assert [s.state for s in found] == ["done"] * 3
    for slot in found:
        run = Path(f"outputs/real/slot_{slot.slot:02d}")
        crossed = json.loads((run / "cross_fitted" / "scores.json").read_text())
        assert slot.result["value"] == crossed["cleval"]["macro"]["h"]
        assert slot.result["untuned"] == max(row["val/hmean"] for row in slot.result["rows"])
        assert {*trials.OBJECTIVES} <= set(slot.result["rows"][0])  # what may be named as objective is measured
        assert len(slot.result["scored"]["pages"]) == 3
    assert yaml.safe_load((run / "config.yaml").read_text())["seed"] == 43
    capsys.readouterr()
    assert main(["sweep", "report", "outputs/real"]) == 0
    html = Path(capsys.readouterr().out.strip()).read_text()
    record = json.loads(Path("outputs/real/report.json").read_text())
    assert record["seed_noise"] is not None
    assert [row["repeats"] is not None for row in record["runs"]] == [False, False, True]  # a repeat is never first
    assert record["verdict"][0]["says"] in ("better", "worse", "not distinguishable")
    assert (
        record["verdict"][0]["interval95"][0]
        <= record["verdict"][0]["difference"]
        <= record["verdict"][0]["interval95"][1]
    )
    assert html.count("<svg") == 3
    assert "Another seed moves" in html


@pytest.mark.parametrize(("order", "told"), [
    ((2, 1, 0), [(1, "the next"), (0, "the preset's own values")]),
    ((2, 0, 1), [(0, "the next, the preset's own values")]),
    ((0, 1, 2), [(1, "the next")]),
    ((2,), []),
])  # fmt: skip
def test_the_best_is_compared_with_the_next_and_the_preset(order, told):
    found = {i: slots.Slot(i, 0, "done", "", 0.0, 1, {"params": {} if i else {LR: 0.0015}}, {}) for i in range(3)}
    runs = SimpleNamespace(sweep=SimpleNamespace(config={"method": "bayes"}))
    assert [(s.slot, what) for s, what in _others(runs, [found[i] for i in order])] == told


def test_lr_find_writes_a_range(tiny, tmp_path):
    assert main(["lr_find", *tiny]) == 0
    found = json.loads((tmp_path / "outputs/tiny_lr_find/lr_find.json").read_text())
    assert found["lr"][0] == pytest.approx(1e-6)
    assert len(found["lr"]) == len(found["loss"]) >= 10
    assert found["range"][0] < found["range"][1] < 1
    assert (tmp_path / "outputs/tiny_lr_find/lr_find.svg").stat().st_size > 1000


def test_wandbs_own_agent_runs_the_shipped_command(here, monkeypatch):
    """W&B's agent code, offline: each run of a sweep gets a folder of its own (its ${envvar:...} would not)."""
    wandb_agent = pytest.importorskip("wandb.wandb_agent")
    for name in ("sweep_efficientnet_b4_lr_optimized", "sweep_receipts_lite"):
        shipped = read_sweep(ROOT / f"configs/{name}.yaml")
        Path("echo.py").write_text(
            "import os, sys; print(os.environ['WANDB_RUN_ID'], *sys.argv[1:], file=open('ran.txt', 'a'))"
        )
        monkeypatch.setenv("WANDB_DIR", ".")
        monkeypatch.setenv("WANDB_SWEEP_ID", "x")
        monkeypatch.setenv("WANDB_RUN_ID", "stale")
        worker = wandb_agent.Agent(api=None, queue=None)
        worker._sweep_command = shipped.command
        for run_id in ("aaa", "bbb"):
            worker._command_run({"run_id": run_id, "program": "echo.py", "args": {LR: {"value": 0.0004}}})
            assert worker._run_processes[run_id].wait(240) == 0
    from hmean.settings.config import compose

    for line in Path("ran.txt").read_text().splitlines():
        run_id, *words = line.split()
        monkeypatch.setenv("WANDB_RUN_ID", run_id)
        config = compose(words)
        assert config.exp_name.endswith(f"_{run_id}")
        assert (config.wandb, config.models.optimizer.lr) == (True, 0.0004)


def test_the_wandb_engine_makes_the_sweep_and_runs_agents(here, monkeypatch, capsys):
    """A stand-in for the service: what is sent is the file, with the cap and the overrides."""
    wandb = pytest.importorskip("wandb")
    sent = {}
    monkeypatch.setattr(wandb, "sweep", lambda config, **_: sent.update(config) or "abc")
    monkeypatch.setattr(sweep, "has_wandb", lambda: True)
    ran = []

    class Agent:
        def __init__(self, command, env):
            ran.append((command[1:], env.get("CUDA_VISIBLE_DEVICES")))

        def wait(self):
            return 0

        def terminate(self):
            pass

    monkeypatch.setattr(sweep.subprocess, "Popen", Agent)
    monkeypatch.setattr(sweep, "gpus", lambda: ["0", "1"])
    assert main(["sweep", "s.yaml", "n=3", "trainer.max_epochs=2"]) == 0  # engine=auto, with an account
    assert sent["run_cap"] == 3
    assert sent["command"] == [*FILE["command"], "trainer.max_epochs=2"]
    assert ran == [(["-m", "wandb", "agent", "hmean/abc"], "0"), (["-m", "wandb", "agent", "hmean/abc"], "1")]
    monkeypatch.setattr(sweep, "has_wandb", lambda: False)
    assert main(["sweep", "s.yaml", "engine=wandb"]) == 2
    assert "wandb login" in capsys.readouterr().err


def test_the_script_goes_to_the_background_after_its_checks(here):
    shutil.copytree(ROOT / "scripts", here / "scripts")
    fakes = here / "bin"
    fakes.mkdir()
    (fakes / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (fakes / "python3").chmod(0o755)
    env = {**os.environ, "PATH": f"{fakes}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    script = ["bash", "scripts/run_sweep_lr_optimized.sh"]
    said = subprocess.run(
        [*script, "2", "bg", "file=s.yaml", *COMMON], check=True, capture_output=True, text=True, env=env, timeout=120
    ).stdout
    pid = int(next(line.split()[1] for line in said.splitlines() if line.startswith("pid")))
    assert "kill" in said
    assert "tail -f outputs/s." in said
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")
    check_ended(Queue("sqlite:///outputs/s/sweep.db", "s"), 2)
    elsewhere = [*script, "2", "bg", "file=s.yaml", *COMMON, "output_dir=there", "name=mine", "agents=0"]
    said = subprocess.run(elsewhere, check=True, capture_output=True, text=True, env=env, timeout=120).stdout
    assert "hmean sweep status there/mine)" in said
    for words, told in (
        (["twelve"], "usage"),
        (["2", "n=3"], "'n=3', but n is 2 already"),
        (["2", "bg", "file=s.yaml", *COMMON, "nonsense=1"], "nonsense"),
    ):
        bad = subprocess.run([*script, *words], check=False, capture_output=True, text=True, env=env, timeout=120)
        assert (bad.returncode, told in bad.stderr, bad.stdout) == (2, True, ""), bad
