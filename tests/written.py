"""The same rows as files of every format, in every compression."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

Rows = list[dict[str, str]]
ROWS: Rows = [
    {"instruction": "你好，请介绍一下自己。", "output": "我是一个人工智能助手，\n很高兴为你服务。"},
    {"instruction": 'a "quoted", word', "output": "tab\there"},
    {"instruction": "这是什么", "output": "不知道"},
]


def table(rows: Rows, separator: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def lines(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(rows: Rows) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


def arrow(rows: Rows, new: Callable[..., pyarrow.ipc.RecordBatchStreamWriter]) -> bytes:
    content, file = pyarrow.Table.from_pylist(rows), io.BytesIO()
    with new(file, content.schema) as writer:
        writer.write_table(content)
    return file.getvalue()


def zstd(data: bytes) -> bytes:
    file = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(file, "zstd") as stream:
        stream.write(data)
    return bytes(file.getvalue())


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


TEXTS: dict[str, Callable[[Rows], bytes]] = {
    "rows.json": lambda rows: json.dumps(rows, ensure_ascii=False, indent=1).encode(),
    "rows.jsonl": lines,
    "rows.csv": lambda rows: table(rows, ","),
    "rows.tsv": lambda rows: table(rows, "\t"),
}
FORMATS: dict[str, Callable[[Rows], bytes]] = {
    **TEXTS,
    "rows.parquet": parquet,
    "rows.arrow": lambda rows: arrow(rows, pyarrow.ipc.new_file),
    "stream.arrow": lambda rows: arrow(rows, pyarrow.ipc.new_stream),
}
# ending → (name, content) → the compressed file
COMPRESSIONS: dict[str, Callable[[str, bytes], bytes]] = {
    "": lambda _, data: data,
    ".gz": lambda _, data: gzip.compress(data),
    ".zst": lambda _, data: zstd(data),
    ".xz": lambda _, data: lzma.compress(data),
    ".bz2": lambda _, data: bz2.compress(data),
    ".zip": lambda name, data: zipped({name: data}),
}
