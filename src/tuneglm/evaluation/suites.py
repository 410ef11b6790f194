"""C-Eval, CMMLU and MMLU from a folder in their published layouts.

    C-Eval   dev/SUBJECT_dev.csv   val/SUBJECT_val.csv     id,question,A,B,C,D,answer,explanation
    CMMLU    dev/SUBJECT.csv       test/SUBJECT.csv        ,Question,A,B,C,D,Answer
    MMLU     dev/SUBJECT_dev.csv   test/SUBJECT_test.csv   no header: question,A,B,C,D,answer
    hubs     SUBJECT/dev-….parquet SUBJECT/test-….parquet  the same columns, or MMLU's `choices`

Examples come from `dev`; C-Eval is asked on `val`, since the answers of its `test` are not public.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tuneglm.errors import ConfigError, DataError
from tuneglm.evaluation.subjects import CEVAL, CMMLU, MMLU, Categories, category_of

CHOICES = ("A", "B", "C", "D")
COLUMNS = ("question", *CHOICES, "answer")


@dataclass(frozen=True)
class Suite:
    """A published suite.

    splits       where its questions are, the first that is there
    description  what stands before a subject's examples, `{}` for the subject, where the harness
                 has no words of its own
    answer       what stands before an answer
    own_task     how the harness calls its own task of a subject
    """

    name: str
    title: str
    categories: Categories
    splits: tuple[str, ...]
    description: str
    answer: str
    own_task: str
    has_header: bool = True


SUITES = {
    suite.name: suite
    for suite in (
        Suite("ceval", "C-Eval", CEVAL, ("val",),
              "以下是中国关于{}的单项选择题，请选出其中的正确答案。\n\n", "答案：",
              "ceval/ceval-valid_{}.yaml"),
        Suite("cmmlu", "CMMLU", CMMLU, ("test",),
              "以下是关于{}的单项选择题，请直接给出正确答案的选项。\n\n", "答案：",
              "cmmlu/cmmlu_{}.yaml"),
        Suite("mmlu", "MMLU", MMLU, ("test", "val"),
              "The following are multiple choice questions (with answers) about {}.\n\n",
              "Answer:", "mmlu/default/mmlu_{}.yaml", has_header=False),
    )
}  # fmt: skip

Item = dict[str, str]  # of COLUMNS


@dataclass(frozen=True)
class Subject:
    """The questions of one subject, and those with which it is shown how to answer."""

    name: str
    category: str
    shown: Sequence[Item]
    asked: Sequence[Item]

    @property
    def digest(self) -> str:
        """The same for the same questions."""
        return blake2b(repr((self.shown, self.asked)).encode(), digest_size=8).hexdigest()


def suite_and_folder(word: str, data: Path) -> tuple[Suite, Path]:
    """What `--suite NAME` or `--suite NAME=FOLDER` means; by its name alone it lies in `data`."""
    name, _, folder = word.partition("=")
    suite = SUITES.get(name.lower())
    if suite is None:
        raise ConfigError(f"There is no suite `{name}`.", f"known: {', '.join(SUITES)}")
    path = Path(folder).expanduser() if folder else data / suite.name
    if not path.is_dir():
        raise DataError(
            f"There is no folder `{path}` with the questions of {suite.title}.",
            f"put its files there as they are published, or name their folder: "
            f"--suite {suite.name}=FOLDER",
        )
    return suite, path


def subjects_of(suite: Suite, folder: Path) -> list[Subject]:
    """All subjects that a folder holds; raises DataError where it holds none."""
    files = dict(_files(suite, folder))
    names = sorted({name for name, split in files if split in suite.splits})
    if not names:
        raise DataError(
            f"`{folder}` holds no questions of {suite.title}.",
            f"expected {suite.splits[0]}/SUBJECT….csv and dev/SUBJECT….csv, as published, or "
            f"SUBJECT/{suite.splits[0]}-….parquet",
        )
    subjects = []
    for name in names:
        split = next(split for split in suite.splits if (name, split) in files)
        shown = files.get((name, "dev"))
        subjects.append(
            Subject(
                name,
                category_of(suite.categories, name),
                [] if shown is None else _read(suite, shown),
                _read(suite, files[name, split]),
            )
        )
    return subjects


def _files(suite: Suite, folder: Path) -> Iterator[tuple[tuple[str, str], Path]]:
    """(subject, split) → file."""
    for split in ("dev", *suite.splits):
        for path in sorted((folder / split).glob("*.csv")):
            yield (path.stem.removesuffix(f"_{split}"), split), path
    # MMLU's parts on its hub are `validation`, C-Eval's `val`
    for path in sorted(folder.glob("*/*.parquet")):
        split = re.split(r"[-.]", path.name)[0].replace("validation", "val")
        if path.parent.name != "all":
            yield (path.parent.name, split), path


def _read(suite: Suite, path: Path) -> list[Item]:
    rows = _parquet(path) if path.suffix == ".parquet" else _csv(suite, path)
    items = [_item(path, number, row) for number, row in enumerate(rows, 1)]
    if not items:
        raise DataError(f"`{path}` holds no questions.", "remove it, or put the whole file there")
    return items


def _csv(suite: Suite, path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"`{path}` is not readable CSV: {error}.", "it is UTF-8 as published"
        ) from (None)
    names = [name.strip() for name in rows[0]] if rows else []
    # some write the names of columns above MMLU's rows too
    if suite.has_header or [name.lower() for name in names] == [name.lower() for name in COLUMNS]:
        yield from (dict(zip(names, row, strict=False)) for row in rows[1:])
    else:
        yield from (dict(zip(COLUMNS, row, strict=False)) for row in rows)


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import read_table

    try:
        yield from read_table(path).to_pylist()
    except (OSError, ArrowInvalid) as error:
        raise DataError(f"`{path}` is not readable Parquet: {str(error).splitlines()[0]}") from None


def _item(path: Path, number: int, row: Mapping[str, Any]) -> Item:
    """A row under our names, its answer as a letter."""
    known = {name.lower(): value for name, value in row.items() if name is not None}
    if isinstance(choices := known.get("choices"), Sequence):
        known |= {letter.lower(): choice for letter, choice in zip(CHOICES, choices, strict=False)}
    if isinstance(answer := known.get("answer"), int) and 0 <= answer < len(CHOICES):
        known["answer"] = CHOICES[answer]
    item = {name: str(known.get(name.lower(), "") or "").strip() for name in COLUMNS}
    item["answer"] = item["answer"].upper()
    if not item["question"] or item["answer"] not in CHOICES:
        raise DataError(
            f"Question {number} of `{path}` has no answer A, B, C or D.",
            f"its columns should be {', '.join(COLUMNS)}",
        )
    return item
