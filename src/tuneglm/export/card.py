"""The card of what was exported: what it is, of what it was made, and what was found of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tuneglm.export.check import Checked
from tuneglm.export.gguf_file import ReadBack
from tuneglm.export.wanted import Export
from tuneglm.hub import looks_like_id
from tuneglm.model_card import TAG, card_of, carried_sections, cell, short

_LLAMA_CPP = "With llama.cpp / 用 llama.cpp：\n\n```bash\nllama-cli -m FILE.gguf --jinja\n```"
# what `tuneglm evaluate` leaves in a run's folder
REPORT = Path("evaluation") / "report.json"


def export_card(
    wanted: Export, family: str, folders: Sequence[Path], checked: Checked | ReadBack | None
) -> str:
    """The card, with what the cards and reports in `folders` say of them."""
    name = short(wanted.path)
    head = {
        **({"base_model": name} if looks_like_id(name) else {}),
        **({"library_name": "peft"} if wanted.adapter_only else {}),
        "tags": [TAG, family],
    }
    sections = {"Export / 导出": _origin(wanted, name, family, checked)}
    carried = [text for folder in folders for text in carried_sections(folder)]
    scores = [text for folder in folders for text in _scores(folder / REPORT)]
    if scores:
        sections["Scores / 评测"] = "\n\n".join(scores)
    use = _LLAMA_CPP if wanted.format == "gguf" else None
    return card_of(wanted.output.name, head, sections, carried, use)


def _origin(wanted: Export, name: str, family: str, checked: Checked | ReadBack | None) -> str:
    what = "The adapter" if wanted.adapter_only else "Whole weights"
    chinese = "适配器" if wanted.adapter_only else "完整权重"
    lines = [
        f"{what} of `{name}` (family {family}).",
        f"由 `{name}` 导出的{chinese}。",
        f"Settings: {_settings(wanted)}.",
    ]
    if checked is not None:
        lines.append(f"Compared with its source: {checked}.")
    return "\n\n".join(lines)


def _settings(wanted: Export) -> str:
    adapters = ", ".join(f"`{short(path)}`" for path in wanted.adapters)
    settings = {
        "format": "gguf" if wanted.format == "gguf" else "",
        "layout": wanted.layout or "the family's own",
        "type": wanted.dtype or "as in the source",
        "bits": wanted.bits,
        "further adapters": adapters,
    }
    return "; ".join(f"{key} {value}" for key, value in settings.items() if value)


def _scores(report: Path) -> Iterator[str]:
    """A table of each section of a report; what is not as expected is left out."""
    with suppress(OSError, ValueError):
        content = json.loads(report.read_text("utf-8"))
        sections = content.get("sections") if isinstance(content, Mapping) else None
        for section in sections if isinstance(sections, list) else ():
            table = _table(section) if isinstance(section, Mapping) else ""
            if table:
                yield table


def _table(section: Mapping[str, Any]) -> str:
    findings = [each for each in section.get("findings") or () if isinstance(each, Mapping)]
    rows = [(each, _figures(each)) for each in findings]
    names = list(dict.fromkeys(name for _, figures in rows for name in figures))
    if not names:
        return ""
    lines = [
        f"**{section.get('title', '')}**\n",
        f"| measure | of | {' | '.join(map(cell, names))} |",
        f"|---|---:|{'---:|' * len(names)}",
    ]
    for each, figures in rows:
        shown = " | ".join(figures.get(name, "–") for name in names)
        lines.append(f"| {cell(str(each.get('measure', '')))} | {each.get('of', '')} | {shown} |")
    return "\n".join(lines)


def _figures(finding: Mapping[str, Any]) -> dict[str, str]:
    """Contestant → its figure, with the interval where there is one."""
    found = {}
    figures = finding.get("figures")
    for name, figure in figures.items() if isinstance(figures, Mapping) else ():
        value = figure.get("value") if isinstance(figure, Mapping) else figure
        if not isinstance(value, int | float):
            continue
        ends = [figure.get(end) for end in ("low", "high")] if isinstance(figure, Mapping) else []
        has_ends = len(ends) == 2 and all(isinstance(end, int | float) for end in ends)
        found[str(name)] = f"{value:.4g}" + (f" [{ends[0]:.4g}, {ends[1]:.4g}]" if has_ends else "")
    return found
