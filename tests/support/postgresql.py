"""PostgreSQL of the system, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Server:
    """A server that trusts everybody, in an empty folder."""

    def __init__(self, folder: Path, binaries: Path, port: int) -> None:
        self.folder = folder
        self.binaries = binaries
        self.port = port
        self.databases = 0
        self.as_user = []
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(folder, "postgres", "postgres")
            self.as_user = ["runuser", "-u", "postgres", "--"]
        self._run("initdb", "-D", str(folder), "-U", "hmean", "-A", "trust", "--no-sync")
        with (folder / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 trust\n")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.as_user, str(self.binaries / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses='*' -c fsync=off"
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder), "-m", "immediate", "stop")

    def create_database(self, host: str = "127.0.0.1") -> str:
        """A new database; its URL."""
        self.databases += 1
        name = f"sweeps{self.databases}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "hmean", name)
        return self.url(name, host)

    def url(self, name: str, host: str = "127.0.0.1") -> str:
        return f"postgresql://hmean@{host}:{self.port}/{name}"


@contextmanager
def server() -> Iterator[Server | None]:
    """A running server; None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if on_path:
        found = found or [Path(on_path)]
    if not found:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="hmean-pg-"))
    running = Server(folder, found[-1].parent, 20000 + os.getpid() % 20000)
    running.start()
    try:
        yield running
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            running.stop()
        shutil.rmtree(folder)
