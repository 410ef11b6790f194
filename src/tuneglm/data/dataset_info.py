"""An entry of `dataset_info.json`, as ChatGLM-Efficient-Tuning and LLaMA-Factory read it.

An entry that only names a hub's repository of ours is ours: we know its files,
its format and its licence.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tuneglm.data.columns import nearest
from tuneglm.data.registered_set import DATA_FILES, RegisteredSet
from tuneglm.data.turns import is_understood
from tuneglm.errors import DataError

_SOURCES = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "file_name", "cloud_file_name")
_TEXTS = (*_SOURCES, "file_sha1", "formatting", "subset", "split", "folder")
_OBJECTS = ("columns", "tags")
# one of these tells such an entry from one of ours
FOREIGN_KEYS = frozenset(_SOURCES)
# their formatting → ours
_FORMATS = {"alpaca": "alpaca", "sharegpt": "sharegpt", "openai": "messages"}
# their column → ours, by our format
_COLUMNS = {
    "alpaca": {
        "prompt": "instruction",
        "query": "input",
        "response": "output",
        "history": "history",
        "system": "system",
    },
    "text": {"prompt": "text"},
    "preference": {
        "prompt": "instruction",
        "query": "input",
        "history": "history",
        "messages": "conversations",
        "system": "system",
        "tools": "tools",
        "chosen": "chosen",
        "rejected": "rejected",
    },
    "sharegpt": {"messages": "conversations", "system": "system", "tools": "tools"},
    "messages": {"messages": "messages", "system": "system", "tools": "tools"},
}
# their tag → our name for it
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "system_tag": "role.system",
    "user_tag": "role.user",
    "assistant_tag": "role.assistant",
    "function_tag": "role.function_call",
    "observation_tag": "role.observation",
}
# column → what such rows hold
_NOT_TEXT = {
    "kto_tag": "marks of good and bad answers",
    "images": "images",
    "videos": "videos",
    "audios": "sounds",
}
_HELD_OUT = ("test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation")


def foreign_set(
    name: str, entry: Mapping[str, Any], path: Path, ours: Mapping[str, RegisteredSet]
) -> RegisteredSet:
    """The entry as one of ours; raises DataError where a value is of a wrong kind."""
    _check_kinds(name, entry, path)
    format_ = _format(entry)
    columns = _columns(entry, format_) if format_ is not None else {}
    same = _same_of_ours(name, entry, ours)
    if same is not None:
        known = same.columns if same.format not in (None, format_) else {**same.columns, **columns}
        changed = {"name": name, "columns": known, "max_rows": entry.get("num_samples")}
        return same.model_copy(update=changed)
    on_hub = bool(entry.get("hf_hub_url") or entry.get("ms_hub_url"))
    file = Path(str(entry.get("file_name") or ""))
    return RegisteredSet(
        name=name,
        files=() if on_hub else (file.name,),
        folder=None if on_hub or file.parent == Path() else str(file.parent),
        only=tuple(_only(entry)) if on_hub else (),
        never=tuple(_never(entry)) if on_hub else (),
        format=format_,
        columns=columns,
        huggingface=entry.get("hf_hub_url") or None,
        modelscope=entry.get("ms_hub_url") or None,
        sha1=entry.get("file_sha1") or None,
        max_rows=entry.get("num_samples"),
        refusal=_refusal(entry),
        notes=tuple(_passed_over(entry)),
        origin=path,
    )


def _check_kinds(name: str, entry: Mapping[str, Any], path: Path) -> None:
    for key, value in entry.items():
        if value is None:
            continue
        if key in _TEXTS and not isinstance(value, str):
            raise DataError(f"In `{path}`, `{key}` of `{name}` should be text.")
        if key in _OBJECTS and not isinstance(value, dict):
            raise DataError(f"In `{path}`, `{key}` of `{name}` should be an object.")
        if key == "num_samples" and not _is_count(value):
            raise DataError(f"In `{path}`, `{key}` of `{name}` should be a number of rows.")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _format(entry: Mapping[str, Any]) -> str | None:
    """Our format; None where the rows must tell."""
    formatting = entry.get("formatting") or "alpaca"
    columns, tags = entry.get("columns") or {}, entry.get("tags") or {}
    if _is_ranking(entry):
        return "preference"
    if formatting == "alpaca" and columns.get("prompt") and not columns.get("response"):
        return "text"
    if formatting == "sharegpt" and tags.get("role_tag", "from") == "role":
        return "messages"
    return _FORMATS.get(formatting)


def _is_ranking(entry: Mapping[str, Any]) -> bool:
    """Whether its rows have a better and a worse answer."""
    return bool(entry.get("ranking") or (entry.get("columns") or {}).get("chosen"))


def _columns(entry: Mapping[str, Any], format_: str) -> dict[str, str]:
    """Our column → the file's. Of Alpaca's, those that an entry leaves out are not there."""
    given = {key: value for key, value in (entry.get("columns") or {}).items() if value}
    known = _COLUMNS[format_]
    named = {ours: str(given[theirs]) for theirs, ours in known.items() if theirs in given}
    if given and format_ == "alpaca":
        return dict.fromkeys(known.values(), "") | named
    return {**named, **_words(entry, format_)}


def _words(entry: Mapping[str, Any], format_: str) -> dict[str, str]:
    """Our names for what a message has → the file's, where `tags` has words of its own."""
    if format_ not in ("sharegpt", "messages", "preference"):
        return {}
    tags = entry.get("tags") or {}
    given = {ours: tags[theirs] for theirs, ours in _TAGS.items() if tags.get(theirs)}
    return {ours: str(word) for ours, word in given.items() if not is_understood(ours, word)}


def _same_of_ours(
    name: str, entry: Mapping[str, Any], ours: Mapping[str, RegisteredSet]
) -> RegisteredSet | None:
    """Ours of that repository; or of that name, where theirs is made by a script."""
    named = next((one for one in ours.values() if name in (one.name, *one.aliases)), None)
    if entry.get("script_url"):
        return named
    ids = {entry.get("hf_hub_url"), entry.get("ms_hub_url")} - {None, ""}
    same = [one for one in ours.values() if ids & {one.huggingface, one.modelscope}]
    if named in same:
        return named
    return same[0] if len(same) == 1 else None


def _only(entry: Mapping[str, Any]) -> Iterator[str]:
    """Patterns of the files that are wanted of a repository."""
    folder = f"{entry['folder']}/" if entry.get("folder") else ""
    split = entry.get("split") if entry.get("split") != "train" else None
    words = [word for word in (entry.get("subset"), split) if word]
    middle = "*" + "".join(f"{word}*" for word in words) if words else ""
    return (f"{folder}{middle}{pattern}" for pattern in DATA_FILES)


def _never(entry: Mapping[str, Any]) -> Iterator[str]:
    """Patterns of the files that are not: other splits, and what describes the data."""
    yield from ("dataset_info*.json", "*/dataset_info*.json")
    for word in _HELD_OUT if entry.get("split") in (None, "", "train") else ():
        for start in ("", "*/", "*[-._]"):
            yield f"{start}{word}[-._/]*"


def _refusal(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is wrong with the entry, as the end of a sentence, and what to do."""
    formatting = entry.get("formatting") or "alpaca"
    if formatting not in _FORMATS:
        near = nearest(formatting, _FORMATS)
        known = f"did you mean `{near}`?" if near else f"known: {', '.join(_FORMATS)}"
        return f"has the formatting `{formatting}`, which is none", known
    for column in entry.get("columns") or {}:
        if column in _NOT_TEXT:
            return f"holds {_NOT_TEXT[column]} (`{column}`)", "give rows of text with one answer"
    if any(entry.get(key) for key in ("hf_hub_url", "ms_hub_url")):
        return None
    if entry.get("script_url"):
        return (
            f"is made by a script (`{entry['script_url']}`); none is ever executed here",
            "run it yourself, write its rows into a file, and give that file",
        )
    if not entry.get("file_name"):
        return "names no file, and no hub that is known here", "fetch it, and write `file_name`"
    return None


def _passed_over(entry: Mapping[str, Any]) -> Iterator[str]:
    if _is_ranking(entry):
        yield "its chosen answers are trained, and the rejected ones not read"
    known = {*_TEXTS, *_OBJECTS, "num_samples", "ranking"}
    for key in entry:
        if key not in known:
            yield f"`{key}` is not known here and passed over"
    if entry.get("hf_hub_url") or entry.get("ms_hub_url"):
        split = entry.get("split") or "train"
        yield f"its rows are those of all data files of the repository whose names fit `{split}`"
