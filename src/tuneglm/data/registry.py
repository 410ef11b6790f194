"""The registry: a name or a path of a run → the file on this disk.

Named sets stand in `datasets.yaml` beside this file, and in registries that
people write themselves (`data.registry`, or a `dataset_info.json` in `data.dir`).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml

from tuneglm.data.columns import nearest
from tuneglm.data.download import downloaded
from tuneglm.data.own_registry import read_registry
from tuneglm.data.problems import MISSING
from tuneglm.data.registered_set import RegisteredSet
from tuneglm.data_config import DataConfig, DatasetEntry
from tuneglm.errors import DataError

FOREIGN_FILE = "dataset_info.json"
RESTRICTIONS = {
    "non-commercial": "is for non-commercial use only",
    "research-only": "is for research only, not for commercial use",
}
# names of ChatGLM-Efficient-Tuning that stand for no set of answers → (why, what to do)
REFUSED = {
    "alpaca_cot": (
        "is a collection of dozens of files of unlike kinds",
        "fetch those you want from https://huggingface.co/datasets/QingyiSi/Alpaca-CoT, and give "
        "their paths",
    ),
    "comparison_gpt4_en": (
        "holds pairs of answers for reward models",
        "take alpaca_gpt4_en, which has the better ones",
    ),
    "comparison_gpt4_zh": (
        "holds pairs of answers for reward models",
        "take alpaca_gpt4_zh, which has the better ones",
    ),
    "hh_rlhf_en": (
        "holds pairs of dialogues for reward models",
        "fetch https://huggingface.co/datasets/Anthropic/hh-rlhf, and give the path of a file "
        "whose rows have `prompt` and `completion`",
    ),
    "example": (
        "was a sample of a loading script, and none is executed here",
        "give the path of your own file",
    ),
}
_BLOCK = 1 << 20


@cache
def registered_sets() -> dict[str, RegisteredSet]:
    """Name → entry of our own registry; other names of a set are not keys."""
    text = Path(__file__).with_name("datasets.yaml").read_text(encoding="utf-8")
    return {name: RegisteredSet(name=name, **entry) for name, entry in yaml.safe_load(text).items()}


def known_sets(config: DataConfig) -> dict[str, RegisteredSet]:
    """Name → entry, of ours and of a person's own registries; theirs win."""
    known = dict(registered_sets())
    for path in _own_registries(config):
        known |= read_registry(path, registered_sets())
    return known


def _own_registries(config: DataConfig) -> list[Path]:
    """The registries beside ours; of two that have a name, the later is right."""
    beside = Path(config.dir).expanduser() / FOREIGN_FILE
    paths = [beside] if beside.is_file() else []
    return paths + ([Path(config.registry).expanduser()] if config.registry else [])


def set_of(name: str, known: Mapping[str, RegisteredSet]) -> RegisteredSet | None:
    """The set of that name, or of that other name."""
    if name in known:
        return known[name]
    return next((one for one in known.values() if name in one.aliases), None)


def placed(config: DataConfig) -> DataConfig:
    """The same data with every path in full, good in any folder; names of sets stay names."""
    changed: dict[str, object] = {"dir": str(Path(config.dir).expanduser().absolute())}
    if config.registry:
        changed["registry"] = str(Path(config.registry).expanduser().absolute())
    known = known_sets(config)
    for side in ("train", "evaluation"):
        changed[side] = tuple(_placed(entry, known) for entry in getattr(config, side))
    return config.model_copy(update=changed)


def _placed(entry: DatasetEntry, known: Mapping[str, RegisteredSet]) -> DatasetEntry:
    entry = _named(entry, known)
    if entry.path is None:
        return entry
    path = str(Path(entry.path).expanduser().absolute())
    return entry.model_copy(update={"path": path})


def _named(entry: DatasetEntry, known: Mapping[str, RegisteredSet]) -> DatasetEntry:
    """A bare word is a name of the registry first; else, if it looks like one, a file."""
    name = entry.name
    if name is None or entry.path is not None or set_of(name, known) is not None:
        return entry
    if Path(name).suffix or Path(name).exists() or any(sign in name for sign in "*?["):
        return entry.model_copy(update={"name": None, "path": name})
    return entry


def resolve(entry: DatasetEntry, config: DataConfig) -> tuple[RegisteredSet | None, Path]:
    """The registry's entry, if the set is of it, and its file, pattern or folder on this disk.

    What is not here is fetched into `data.dir`.
    """
    if (entry.name is None) == (entry.path is None):
        raise DataError(
            "An entry of `data.train` or `data.evaluation` needs `name` or `path`, and not both."
        )
    if not entry.name and not entry.path:
        raise DataError("An entry of `data.train` or `data.evaluation` has an empty name.")
    known = known_sets(config)
    entry = _named(entry, known)
    if entry.path is not None:
        return None, Path(entry.path).expanduser()
    assert entry.name is not None
    registered = usable_set(entry.name, known, or_path=True)
    directory = Path(config.dir).expanduser()
    return registered, registered.found(directory) or downloaded(registered, directory)


def usable_set(
    name: str, known: Mapping[str, RegisteredSet], *, or_path: bool = False
) -> RegisteredSet:
    """The set of that name; raises DataError where there is none, or none that can be used.

    With `or_path` the person could have given a file in its place.
    """
    registered = set_of(name, known)
    if registered is None and name in REFUSED:
        sentence, hint = REFUSED[name]
        raise DataError(f"The data set `{name}` {sentence}.", hint)
    if registered is None:
        path = "; or give the path of a file" if or_path else ""
        hint = _other_names(name, known) + path
        raise DataError(f"There is no data set `{name}`.", hint, at=(name, 1, MISSING))
    if registered.refusal is not None:
        sentence, hint = registered.refusal
        raise DataError(f"The data set `{name}` of `{registered.origin}` {sentence}.", hint)
    return registered


def _other_names(name: str, known: Mapping[str, RegisteredSet]) -> str:
    names = [*known, *(alias for one in known.values() for alias in one.aliases)]
    near = nearest(name, names)
    return f"did you mean `{near}`?" if near else f"known: {', '.join(known)}"


def placeholders_of(path: Path, registered: RegisteredSet | None) -> tuple[str, ...]:
    """What the rows hold to be filled; a set's file is known by its name too."""
    named = registered_sets().values() if registered is None else [registered]
    return next((one.placeholders for one in named if path.name in one.files), ())


def set_notes(sets: Iterable[tuple[RegisteredSet | None, Path]]) -> list[str]:
    """What a person should know of the sets of a run: whose words hold, licences, changed files."""
    given = list(sets)
    named = {one.name: (one, path) for one, path in given if one is not None}
    notes = [note for one, path in named.values() for note in _notes(one, path)]
    return notes + [note for one, path in given if one is None for note in _file_notes(path)]


def restricted_by_name(path: Path) -> RegisteredSet | None:
    """The restricted set whose file is called as one that a run names by its path."""
    known = registered_sets().values()
    return next(
        (one for one in known if one.restriction in RESTRICTIONS and path.name in one.files), None
    )


def _file_notes(path: Path) -> Iterator[str]:
    one = restricted_by_name(path)
    if one is not None:
        yield (
            f"`{path.name}` is called as the file of `{one.name}`, which "
            f"{RESTRICTIONS[one.restriction]} ({one.licence})."
        )


def _notes(registered: RegisteredSet, path: Path) -> Iterator[str]:
    name, origin = registered.name, registered.origin
    if origin is not None:
        other = ", not as tuneglm's own registry does" if name in registered_sets() else ""
        yield f"`{name}` is what `{origin}` says{other}."
    yield from (f"`{origin}`, `{name}`: {note}." for note in registered.notes)
    if registered.restriction in RESTRICTIONS:
        yield f"`{name}` {RESTRICTIONS[registered.restriction]} ({registered.licence})."
    if registered.sha1 is not None and path.is_file() and sha1_of(path) != registered.sha1:
        yield f"`{path}` is not the file that `{origin}` means: its SHA-1 is another."


def sha1_of(path: Path) -> str:
    """SHA-1 of a file, in hexadecimal."""
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
