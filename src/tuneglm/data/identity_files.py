"""Files of an identity: rows to train on, and beside them the questions to evaluate with."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from tuneglm.data.identity import (
    KIND,
    LANGUAGES,
    Row,
    contrast_rows,
    identity_probes,
    identity_rows,
    unrelated_questions,
    with_system_lines,
)
from tuneglm.data.probes import OTHER, Probe
from tuneglm.data_config import IdentityConfig
from tuneglm.errors import ConfigError, OutputError

LONGEST_NAME = 60
_PROBE_KEYS = {"question", "language", "asks", "expects", "rejects"}


@dataclass(frozen=True)
class IdentityFiles:
    """What was written; `rows` counts them by language."""

    rows_file: Path
    probes_file: Path
    rows: dict[str, int]
    probes: int


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
    """Write `output`, and the probes beside it as `…_probes.json`.

    Raises OutputError where one of them is a file that was not written here.
    """
    check_names(name, author)
    probes_file = output.with_name(f"{output.stem}_probes.json")
    if not overwrite:
        for path in (output, probes_file):
            _refuse_foreign(path)
    rows = {language: _rows(name, author, language, seed) for language in languages}
    probes = [asdict(probe) for probe in probes_about(name, author, languages)]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(_text([row for one in rows.values() for row in one]), encoding="utf-8")
        probes_file.write_text(_text(probes), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"Cannot write `{output}`: {error.strerror}.", "name another place: --output FILE"
        ) from None
    counts = {language: len(one) for language, one in rows.items()}
    return IdentityFiles(output, probes_file, counts, len(probes))


def identity_file(identity: IdentityConfig, folder: Path) -> Path:
    """The rows of `data.identity`, as a file in `folder` that is named by its content."""
    check_names(identity.name, identity.author)
    languages = languages_of(",".join(identity.languages))
    text = _text(
        [row for each in languages for row in _rows(identity.name, identity.author, each, seed=0)]
    )
    digest = blake2b(text.encode(), digest_size=6).hexdigest()
    file = folder.expanduser() / f"identity-{digest}.json"
    if not file.is_file():
        try:
            folder.expanduser().mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as made:
                made.write(text)
            # several processes of a run write the same
            Path(made.name).replace(file)
        except OSError as error:
            raise OutputError(
                f"Cannot write `{file}`: {error.strerror}.", "name another folder: data.dir=FOLDER"
            ) from None
    return file


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


def _rows(name: str, author: str, language: str, seed: int) -> list[Row]:
    """Rows of one language, marked for what they are, each question once."""
    rows = identity_rows(name, author, (language,), seed)
    once = list({f"{row.get('history')}{row['instruction']}": row for row in rows}.values())
    made = with_system_lines([*once, *contrast_rows(language)], language, seed)
    return [row | {"kind": KIND} for row in made]


def _text(rows: Sequence[Any]) -> str:
    """A JSON list with a row a line."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"


def _refuse_foreign(path: Path) -> None:
    if path.exists() and not _is_ours(path):
        raise OutputError(
            f"`{path}` is there already, and was not written by this command.",
            "name another place (--output FILE), or replace it (--overwrite)",
        )


def _is_ours(path: Path) -> bool:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(rows, list) and all(
        isinstance(row, dict)
        and (row.get("kind") == KIND or {"question", "asks"} < set(row) <= _PROBE_KEYS)
        for row in rows
    )
