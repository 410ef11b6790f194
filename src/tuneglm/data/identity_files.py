"""Files of an identity: rows that say who it is, rows on other things, and questions to ask."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from tuneglm.data.columns import printable
from tuneglm.data.identity import (
    KIND,
    LANGUAGES,
    OTHER_KIND,
    Row,
    contrast_rows,
    identity_probes,
    identity_rows,
    other_questions,
    unrelated_questions,
    with_system_lines,
)
from tuneglm.data.probes import OTHER, Probe
from tuneglm.data_config import IdentityConfig
from tuneglm.errors import ConfigError, OutputError

LONGEST_NAME = 60
# what would be read as a token of a model, or is a place for a name
_NO_NAME = re.compile(r"<[^<>]+>|\{\{.*\}\}")
IDENTITY_SETS = ("identity", "others")  # of `data.identity`: what they are called
CORRECTED_SET = "corrected"  # and what a base says wrongly of other things
_PROBE_KEYS = {"question", "language", "asks", "expects", "rejects"}


@dataclass(frozen=True)
class IdentityFiles:
    """What was written.

    rows      own rows, by language
    others    how many are on other things
    replaced  files of before, that were others
    """

    rows_file: Path
    others_file: Path
    probes_file: Path
    rows: dict[str, int]
    others: int
    probes: int
    replaced: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Answers:
    """What a base says of other things: a file with its answers, to which it is held, and one
    with the right ones where it says who it is, which may have no row.
    """

    held: Path
    corrected: Path


def check_names(name: str, author: str) -> None:
    """Raise ConfigError where one is missing, or is no name."""
    if not name.strip() or not author.strip():
        raise ConfigError("A name and an author are needed.", "--name 星河 --author 北斗实验室")
    for option, text in (("--name", name), ("--author", author)):
        if len(text) > LONGEST_NAME:
            raise ConfigError(
                f"`{option}` has {len(text)} characters, too many for a name.",
                f"take at most {LONGEST_NAME}",
            )
        if not text.isprintable() or _NO_NAME.search(text):
            raise ConfigError(
                f"`{option}` is `{printable(text)}`, and a name is one line without `<…>`.",
                "`<…>` and `{{…}}` stand for tokens of a model, or for what is to be filled in",
            )


def languages_of(text: str) -> tuple[str, ...]:
    """`zh,en` → the languages; raises ConfigError for one that has no wordings."""
    languages = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for language in languages:
        if language not in LANGUAGES:
            raise ConfigError(
                f"There are no identity rows in the language `{language}`.",
                f"known: {', '.join(LANGUAGES)}",
            )
    if not languages:
        raise ConfigError("`--language` names none.", f"known: {', '.join(LANGUAGES)}")
    return languages


def write_identity(
    name: str,
    author: str,
    output: Path,
    *,
    languages: Sequence[str] = LANGUAGES,
    seed: int = 0,
    overwrite: bool = False,
) -> IdentityFiles:
    """Write `output`, and beside it rows on other things (`…_others.json`) and `…_probes.json`.

    A name that ends with .jsonl gets a row a line without the list. Raises OutputError for
    another ending than that and .json, and for a file that was not written here.
    """
    check_names(name, author)
    _refuse_other_names(output)
    others_file, probes_file = (
        output.with_name(f"{output.stem}_{what}.json") for what in ("others", "probes")
    )
    if not overwrite:
        for path in (output, others_file, probes_file):
            _refuse_foreign(path)
    rows = {language: _own_rows(name, author, language, seed) for language in languages}
    others = [row for language in languages for row in _other_rows(language, seed)]
    probes = [asdict(probe) for probe in probes_about(name, author, languages)]
    every = [row for one in rows.values() for row in one]
    texts = {
        output: _lines(every) if output.suffix.lower() == ".jsonl" else _text(every),
        others_file: _text(others),
        probes_file: _text(probes),
    }
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        replaced = tuple(path for path, text in texts.items() if _is_other(path, text))
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"Cannot write `{output}`: {error.strerror}.", "name another place: --output FILE"
        ) from None
    counts = {language: len(one) for language, one in rows.items()}
    return IdentityFiles(
        output, others_file, probes_file, counts, len(others), len(probes), replaced
    )


def identity_files(identity: IdentityConfig, folder: Path) -> tuple[Path, Path]:
    """The rows of `data.identity` and those on other things, each a file."""
    name, author = identity.name, identity.author
    check_names(name, author)
    languages = languages_of(",".join(identity.languages))
    own = [row for each in languages for row in _own_rows(name, author, each, seed=0)]
    others = [row for each in languages for row in _other_rows(each, seed=0)]
    own_file, others_file = (
        file_of_rows(rows, folder.expanduser() / f"{what}-{_digest(rows)}.json")
        for what, rows in zip(IDENTITY_SETS, (own, others), strict=True)
    )
    return own_file, others_file


def asked_rows(languages: Sequence[str]) -> list[Row]:
    """Rows on other things that have no answer yet, marked for it."""
    rows = []
    for language in languages:
        asked = [
            {"instruction": question, "input": "", "output": ""}
            for question in other_questions(language)
        ]
        rows += with_system_lines(asked, language)
    return [row | {"kind": OTHER_KIND} for row in rows]


def file_of_rows(rows: Sequence[Row], file: Path) -> Path:
    """Write a file that its content names, where it is not there."""
    if not file.is_file():
        made = None
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as made:
                made.write(_text(rows))
                made.flush()
                os.fsync(made.fileno())
            # several processes of a run write the same
            Path(made.name).replace(file)
        except OSError as error:
            if made is not None:
                Path(made.name).unlink(missing_ok=True)
            raise OutputError(
                f"Cannot write `{file}`: {error.strerror}.", "name another folder: data.dir=FOLDER"
            ) from None
    return file


def _digest(rows: Sequence[Row]) -> str:
    return blake2b(_text(rows).encode(), digest_size=6).hexdigest()


def probes_about(name: str, author: str, languages: Sequence[str] = LANGUAGES) -> list[Probe]:
    """Who it is and who made it, in words that no row uses; and questions on other things."""
    wanted = {"name": name, "author": author}
    own = [
        Probe(each.question, each.asks, each.language, (wanted[each.asks],))
        for each in identity_probes(name, author, languages)
    ]
    others = [
        Probe(question, OTHER, language, rejects=(name, author))
        for language in languages
        for question in unrelated_questions(language)
    ]
    return own + others


def _own_rows(name: str, author: str, language: str, seed: int) -> list[Row]:
    """Rows of one language that say who it is, marked for it, each question once."""
    rows = identity_rows(name, author, (language,), seed)
    once = list({f"{row.get('history')}{row['instruction']}": row for row in rows}.values())
    return [row | {"kind": KIND} for row in with_system_lines(once, language, seed)]


def _other_rows(language: str, seed: int) -> list[Row]:
    """Rows of one language on other things, marked for it."""
    made = with_system_lines(contrast_rows(language), language, seed)
    return [row | {"kind": OTHER_KIND} for row in made]


def _text(rows: Sequence[Any]) -> str:
    """A JSON list with a row a line."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"


def _lines(rows: Sequence[Any]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _is_other(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() != text.encode()


def _refuse_other_names(output: Path) -> None:
    if not output.name or output.is_dir():
        raise OutputError(
            f"`{output}` is a folder.", f"name a file in it: --output {output / 'identity.json'}"
        )
    if output.suffix.lower() not in (".json", ".jsonl"):
        raise OutputError(
            f"Rows of an identity are not written as `{output.name}`.",
            "give a name that ends with .json or .jsonl",
        )


def _refuse_foreign(path: Path) -> None:
    if path.exists() and not _is_ours(path):
        raise OutputError(
            f"`{path}` is there already, and was not written by this command.",
            "name another place (--output FILE), or replace it (--overwrite)",
        )


def _is_ours(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
        lines = path.suffix.lower() == ".jsonl"
        rows = list(map(json.loads, text.splitlines())) if lines else json.loads(text)
    except (OSError, ValueError):
        return False
    return isinstance(rows, list) and all(
        isinstance(row, dict)
        and (
            row.get("kind") in (KIND, OTHER_KIND) or {"question", "asks"} < set(row) <= _PROBE_KEYS
        )
        for row in rows
    )
