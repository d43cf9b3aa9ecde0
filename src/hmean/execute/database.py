"""The database that agents share: its URL, its clock, and patience while it cannot be reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from sqlalchemy.exc import ArgumentError, DBAPIError

from hmean.errors import InputError

# SQL for "seconds since 1970", by the clock of the database: the clocks of the agents need not agree.
_NOW = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())",
}
# What is raised while a database is away (it may be restarting), or while another process makes the same tables.
UNREACHABLE = (DBAPIError, StorageInternalError, DuplicatedStudyError)
RETRY_SECONDS = 0.5
T = TypeVar("T")


def patiently(call: Callable[[], T], seconds: float = 600.0) -> T:
    """Call a function again and again while the database cannot be reached.

    Raises:
        InputError: if that lasts longer than ``seconds``.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except UNREACHABLE as error:
            if time.monotonic() > end:
                cause = error.__cause__ or error
                raise InputError(f"the storage cannot be used: {str(cause).splitlines()[0]}") from error
            time.sleep(RETRY_SECONDS)


def storage_url(url: str) -> str:
    """A storage URL that names its driver.

    Raises:
        InputError: if it is not a database that hmean supports.
    """
    if url.startswith("postgresql://"):
        url = url.replace("://", "+pg8000://", 1)
    try:
        parsed = sqlalchemy.make_url(url)
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, ImportError) as error:
        raise InputError(f"storage: {error}; PostgreSQL needs pip install 'hmean[postgres]'") from None
    if parsed.get_backend_name() not in _NOW:
        raise InputError(
            "storage: this database is not supported; use SQLite (sqlite:///sweep.db) or PostgreSQL "
            "(postgresql://user@host/db)"
        )
    return url


class Database:
    """A database of SQLite or PostgreSQL. Nothing is connected or created before the first statement.

    Attributes:
        url: with the driver's name.
        engine_options: for another engine of SQLAlchemy on the same database.
        engine: makes connections.
    """

    def __init__(self, url: str) -> None:
        self.url = storage_url(url)
        if self.url.startswith("sqlite"):
            timeout = 60
        else:
            timeout = 10
        # No pool: a connection that is kept idle would outlive a restarted database.
        self.engine_options: dict[str, Any] = {
            "poolclass": sqlalchemy.NullPool,
            "connect_args": {"timeout": timeout},
        }
        self.engine = sqlalchemy.create_engine(self.url, **self.engine_options)

    @property
    def now(self) -> sqlalchemy.ColumnElement[float]:
        """SQL for the present time, in seconds."""
        return sqlalchemy.literal_column(_NOW[self.engine.dialect.name], sqlalchemy.Double)

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        location = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or not location:
            return None
        return Path(location)

    def has_table(self, name: str) -> bool:
        """Whether a table exists; asking does not create an SQLite file."""
        if self.file is not None and not self.file.exists():
            return False
        return sqlalchemy.inspect(self.engine).has_table(name)
