"""Hugging Face data sets as Parquet files, or as the folder that ``save_to_disk`` makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from hmean.errors import InputError
from hmean.files import atomic
from hmean.images import SUFFIXES
from hmean.labels.hf_rows import LABEL_COLUMNS, Row, columns_of, has_boxes, is_utf8, pages_of, row_of
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, key_of
from hmean.labels.words import shown
from hmean.types import Page

FILE_SUFFIXES = (".parquet", ".arrow")
_PARQUET = b"PAR1"
_ARROW_FILE = b"ARROW1"
_ARROW_STREAM = b"\xff\xff\xff\xff"
_NAME = "file_name"
_IMAGE_COLUMNS = ("image", "img", "page_image")
_TITLE = "a Parquet or Arrow file of Hugging Face"
_CACHE = "cache-"
_LONGEST_REASON = 200
_LONGEST_NAME = 200  # bytes
_ROWS = 1000  # that are in memory at once
_MOST_ROWS = 2_000_000  # of a file; a small file may claim any number


def _recognises(peek: Peek) -> bool:
    """A Parquet or Arrow file, or a folder of such files."""
    if peek.is_folder:
        return bool(peek.files(FILE_SUFFIXES))
    return peek.start.startswith((_PARQUET, _ARROW_STREAM, _ARROW_FILE))


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """A file of rows.

    Attributes:
        path: of the file.
        columns: their names.
        image: the column of images; None: there is none.
        is_embedded: whether that holds the images themselves, and not only their names.
    """

    path: Path
    columns: tuple[str, ...]
    image: str | None
    is_embedded: bool

    @classmethod
    def of(cls, path: Path) -> _Table:
        """Look at a file.

        Raises:
            InputError: if pyarrow is not installed, or the file cannot be read.
        """
        if find_spec("pyarrow") is None:
            raise InputError(f"{path}: reading Parquet and Arrow files needs pyarrow: pip install 'hmean[parquet]'")
        with _reading(path):
            schema = _schema(path)
            image = next((name for name in _IMAGE_COLUMNS if name in schema.names), None)
            is_embedded = image is not None and _has_bytes(schema.field(image).type)
            return cls(path, tuple(schema.names), image, is_embedded)

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows with some of the columns, as far as there are these; ``image.path`` is a part of ``image``.

        Raises:
            InputError: if the file cannot be read.
        """
        with _reading(self.path):
            for batch in _batches(self.path, columns):
                batch.validate(full=True)
                yield from batch.to_pylist()

    def written_names(self) -> list[str | None]:
        """The name or path of each row's image; None where there is none."""
        names: list[str | None] = []
        column = self.image
        if self.is_embedded:
            column = f"{self.image}.path"
        for row in self.rows([_NAME, column or _NAME]):
            value = row.get(_NAME) or row.get(self.image or "")
            if isinstance(value, dict):
                value = value.get("path")
            if not isinstance(value, str) or not value:
                value = None
            names.append(value)
        return names


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Errors of pyarrow become messages about a file."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        reason = str(error).partition("\n")[0][:_LONGEST_REASON]
        raise InputError(f"{path}: looks like {_TITLE}, but it cannot be read ({reason})") from None


def _has_bytes(kind: Any) -> bool:
    return any(kind.field(k).name == "bytes" for k in range(kind.num_fields))


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET


def _schema(path: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    if _is_parquet(path):
        return pq.read_schema(path)
    with pa.memory_map(str(path)) as source:
        return _arrow_reader(source).schema


def _batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    if _is_parquet(path):
        with pq.ParquetFile(path) as table:
            if table.metadata.num_rows > _MOST_ROWS:
                raise ValueError(f"it has {table.metadata.num_rows:,} rows")
            yield from table.iter_batches(batch_size=_ROWS, columns=list(columns))
        return
    count = 0
    for batch in _arrow_batches(path):
        count += len(batch)
        if count > _MOST_ROWS:
            raise ValueError(f"it has {count:,} rows or more")
        for start in range(0, len(batch), _ROWS):
            yield _selected(batch.slice(start, _ROWS), columns)


def _arrow_batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415

    with pa.memory_map(str(path)) as source:
        reader = _arrow_reader(source)
        if hasattr(reader, "get_batch"):
            for k in range(reader.num_record_batches):
                yield reader.get_batch(k)
        else:
            yield from reader


def _arrow_reader(source: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    is_file = source.read(len(_ARROW_FILE)) == _ARROW_FILE
    source.seek(0)
    if is_file:
        return pa.ipc.open_file(source)
    return pa.ipc.open_stream(source)


def _selected(batch: Any, columns: Sequence[str]) -> Any:
    """A batch with some of its columns; of a column in a column, only that part."""
    import pyarrow as pa  # noqa: PLC0415

    arrays = {}
    for column in columns:
        name, _, part = column.partition(".")
        if name in batch.schema.names:
            array = batch.column(name)
            if part:
                array = pa.StructArray.from_arrays([array.field(part)], [part])
            arrays[name] = array
    return pa.RecordBatch.from_pydict(arrays)


# --- images in the file -----------------------------------------------------------------------------------------------


def _own_names(written: Sequence[str | None]) -> list[str]:
    """A name for each image in a file: that of its path, or the number of its row where that is not unique."""
    bare = [PurePosixPath((name or "").replace("\\", "/")).name for name in written]
    count = Counter(bare)
    names = []
    for row, name in enumerate(bare):
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in SUFFIXES:
            suffix = ".png"
        is_good = (
            count[name] == 1 and name.endswith(suffix) and name.isprintable() and len(name.encode()) < _LONGEST_NAME
        )
        if not is_good:
            name = f"{row:06d}{suffix}"
        names.append(name)
    return names


def table_files(path: Path) -> list[Path]:
    """The files of a data set that are read as tables; none if it is in another format, or not there."""
    if not path.exists():
        return []
    if path.is_dir():
        files = [file for file in Peek.of(path).files(FILE_SUFFIXES) if not file.name.startswith(_CACHE)]
    else:
        files = [path]
    return [file for file in files if _recognises(Peek.of(file))]


def write_images(path: Path, folder: Path) -> int:
    """Write the images that lie in Parquet or Arrow files to a folder; those that are there already stay as they are.

    Args:
        path: the file, or the folder of such files.
        folder: is made; the images of ``a.parquet`` come to ``a/`` in it.

    Returns:
        How many images the files hold.

    Raises:
        InputError: if a file cannot be read, or the folder not written.
    """
    count = 0
    for file in table_files(path):
        table = _Table.of(file)
        if not table.is_embedded:
            continue
        names = _own_names(table.written_names())
        rows = table.rows([f"{table.image}.bytes"])
        for name, row in zip(names, rows, strict=True):
            content = (row[table.image or ""] or {}).get("bytes")
            if content is None:
                continue
            count += 1
            target = folder / key_of(path, file) / name
            if not target.exists():
                with atomic(target) as part:
                    part.write_bytes(content)
    return count


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(file: LabelFile) -> Iterator[RawPage]:
    if file.path.name.startswith(_CACHE):  # what ``datasets`` has left there
        return
    table = _Table.of(file.path)
    if not has_boxes(table.columns):
        raise file.fault(f"it has no column of boxes; its columns are {shown(list(table.columns))}")
    names = _image_names(file, table)
    yield from pages_of(file, lambda: _label_rows(table, names))


def _label_rows(table: _Table, names: Sequence[str]) -> Iterator[Row]:
    columns = [column for column in LABEL_COLUMNS if column in table.columns]
    for number, (name, values) in enumerate(zip(names, table.rows(columns), strict=True)):
        yield row_of(f"row {number}", name, values)


def _image_names(file: LabelFile, table: _Table) -> list[str]:
    """The name of each row's image: as ``write_images`` writes it, or of one that is in the folder of images."""
    written = table.written_names()
    own = _own_names(written)
    names = []
    for row, (name, own_name) in enumerate(zip(written, own, strict=True)):
        image = f"{file.key}/{own_name}"
        is_written = table.is_embedded and file.images.exists(image)
        if not is_written and name is not None and (not table.is_embedded or file.images.exists(file.image(name))):
            image = file.image(name)
        elif not table.is_embedded:
            raise file.fault(f"row {row} has no {_NAME} and no image")
        names.append(image)
    if table.is_embedded and names and not any(file.images.exists(name) for name in names):
        message = f"its images are in the file itself, and not in {file.images.folder}; write them and the labels out"
        raise file.fault(f"{message}: hmean data convert {file.path} labels.json format=ufo")
    return names


# --- writing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ParquetWriter:
    """A writer of a Parquet file without images."""

    suffix: str = ".parquet"
    is_folder: bool = False

    def __call__(self, path: Path, pages: Iterable[Page]) -> None:
        """See ``Writer``.

        Raises:
            InputError: if pyarrow is not installed.
        """
        if find_spec("pyarrow") is None:
            raise InputError("format=parquet needs pyarrow: pip install 'hmean[parquet]'")
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415

        numbers = pa.list_(pa.float64())
        schema = pa.schema(
            {
                _NAME: pa.string(),
                "width": pa.int64(),
                "height": pa.int64(),
                "group": pa.string(),
                "words": pa.list_(pa.string()),
                "bboxes": pa.list_(numbers),
                "polygons": pa.list_(pa.list_(numbers)),
                "ignore": pa.list_(pa.bool_()),
            }
        )
        rows = map(columns_of, pages)
        with pq.ParquetWriter(path, schema) as writer:
            while chunk := list(islice(rows, _ROWS)):
                writer.write_table(pa.Table.from_pylist(chunk, schema=schema))


FORMAT = LabelFormat(
    name="parquet",
    title=_TITLE,
    layout="a Parquet file, or a folder of `save_to_disk`: columns as of [hf](#hf), and `image` or `file_name`",
    notes=(
        "Needs `pip install 'hmean[parquet]'`. Columns are named as in [hf](#hf). Where the images are in the files "
        "themselves, `hmean data convert` writes them out beside the labels, and other commands say so. Written are "
        "the labels, without images."
    ),
    recognises=_recognises,
    keeps=Keeps(groups=True, unlabelled=True, holds_text=is_utf8),
    read=_read,
    write=ParquetWriter(),
    suffix=FILE_SUFFIXES,
)
