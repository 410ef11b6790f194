"""The model card, a result's `README.md`: what it was made of, under which licences, its use.

A card says nothing of the day and the machine: the same run writes the same one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tuneglm.config import RunConfig
from tuneglm.data.example_set import ExampleSet
from tuneglm.data.mix import SetSummary
from tuneglm.data.registered_set import RegisteredSet
from tuneglm.data.registry import restricted_by_name
from tuneglm.data.tally import ExpectedSet
from tuneglm.hub import looks_like_id
from tuneglm.reports.probes import ProbeReport

CARD_FILE = "README.md"
TAG = "tuneglm"
# what such data are for, in English and in Chinese
_RESTRICTED = {
    "non-commercial": ("non-commercial use", "非商业用途"),
    "research-only": ("research", "研究"),
}


@dataclass(frozen=True)
class UsedSet:
    """A set that was trained on: how many rows the run took, and what a registry says of it."""

    name: str
    rows: int
    registered: RegisteredSet | None = None


def used_sets(
    sets: Sequence[ExampleSet], summaries: Sequence[SetSummary | ExpectedSet]
) -> list[UsedSet]:
    """The sets of a run, with the rows that it took of each."""
    pairs = zip(sets, summaries, strict=True)
    return [
        UsedSet(
            one.name,
            summary.rows if isinstance(summary, SetSummary) else 0,
            one.registered or restricted_by_name(one.file),
        )
        for one, summary in pairs
    ]


def run_card(
    config: RunConfig,
    family: str,
    sets: Sequence[UsedSet],
    asked: ProbeReport | None = None,
    *,
    adapter: bool,
) -> str:
    """The card of a run's result; `asked` what it answers, where it was asked."""
    name = Path(config.training["output_dir"]).name
    base = short(config.model.path)
    head = {
        **({"base_model": base} if looks_like_id(base) else {}),
        **({"library_name": "peft"} if adapter else {}),
        "tags": [TAG, family, config.method.name],
        **_used(sets),
    }
    settings = config.method.model_dump(exclude={"name"}, exclude_defaults=True)
    written = "".join(f", {key} {_words(value)}" for key, value in settings.items())
    tuning = (
        f"Base model: `{base}` (family {family}). Method: {config.method.name}{written}.\n\n"
        f"由 tuneglm 在 `{base}` 上以 {config.method.name} 方法微调而成。"
    )
    sections = {"Tuning / 微调": tuning, "Data / 数据": _data(sets)}
    if asked is not None:
        sections["Questions / 提问"] = asked.as_markdown()
    return card_of(name, head, sections)


def card_of(
    name: str,
    head: object,
    sections: dict[str, str],
    carried: Sequence[str] = (),
    use: str | None = None,
) -> str:
    """A card: what hubs read of it, its sections, those of earlier cards, how to use it."""
    front = yaml.safe_dump(head, allow_unicode=True, sort_keys=False)
    parts = [f"---\n{front}---", f"# {name}"]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items()]
    parts += [*carried, f"## Use / 使用\n\n{use or _use(name)}"]
    return "\n\n".join(parts) + "\n"


def _use(name: str) -> str:
    return (
        "With tuneglm, where the folder lies / 用 tuneglm，在该文件夹所在的目录下：\n\n"
        f"```bash\ntuneglm chat {name}\n```\n\n"
        "```python\nfrom tuneglm import ChatModel\n\n"
        f'model = ChatModel("{name}")\n'
        'print(model.reply([{"role": "user", "content": "你好"}]))\n```'
    )


def _used(sets: Sequence[UsedSet]) -> dict[str, list[str]]:
    """Languages and hub ids, as hubs read them from the head of a card."""
    known = [one.registered for one in sets if one.registered is not None]
    languages = {code: None for one in known for code in one.language.split(",") if code}
    ids = {one.huggingface: None for one in known if one.huggingface}
    fields = {"language": list(languages), "datasets": list(ids)}
    return {key: values for key, values in fields.items() if values}


def _data(sets: Sequence[UsedSet]) -> str:
    lines = ["| set | rows | licence | restriction |", "|---|---:|---|---|"]
    for one in sets:
        known = one.registered
        licence = "" if known is None else known.licence
        restriction = "" if known is None else known.restriction
        rows = f"{one.rows:,}" if one.rows else "streamed"
        lines.append(f"| {cell(one.name)} | {rows} | {cell(licence)} | {restriction} |")
    return "\n".join([*lines, *_warning(sets)])


def _warning(sets: Sequence[UsedSet]) -> list[str]:
    known = [(one.name, one.registered.restriction) for one in sets if one.registered is not None]
    named = [(name, *_RESTRICTED[kind]) for name, kind in known if kind in _RESTRICTED]
    if not named:
        return []
    english = ", ".join(f"`{name}` ({use})" for name, use, _ in named)
    chinese = "、".join(f"`{name}`（{use}）" for name, _, use in named)
    return [
        "",
        f"**Some of these data are for certain uses only: {english}.** "
        "Mind that before you use the model otherwise.",
        "",
        f"**部分数据仅限特定用途：{chinese}。** 在其他用途上使用本模型之前请留意。",
    ]


def carried_sections(folder: Path) -> list[str]:
    """The parts of a folder's card, if it is ours, that hold when weights take another form."""
    card = folder / CARD_FILE
    if not card.is_file():
        return []
    text = card.read_text(encoding="utf-8", errors="replace")
    if not re.match(rf"---\n.*?^- {TAG}$.*?^---$", text, re.S | re.M):
        return []
    sections = re.split(r"\n(?=## )", text)[1:]
    return [one.strip() for one in sections if not one.startswith(("## Use", "## Export"))]


def short(path: str) -> str:
    """An id as it is; of a folder its name, for its place is nobody else's affair."""
    folder = Path(path).expanduser()
    return folder.resolve().name if folder.is_dir() else path


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def cell(text: str) -> str:
    """A text as a table of Markdown holds it."""
    return text.replace("|", "\\|")
