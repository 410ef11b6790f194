"""Write the tables of speed on the pages, from the figures of `make bench`: `make docs`.

The figures that are published lie in benchmarks/published/training_speed.json, as `make bench`
wrote them, but for `machine.note`: what else is to be said of that run.
"""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "published" / "training_speed.json"
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"
PERFORMANCE = {"en": "docs/en/performance.md", "zh": "docs/zh/performance.md"}
README = {"en": "README.md", "zh": "README_zh.md"}
# what the READMEs show: a work of the table → its name there
SHORT = {
    "LoRA, A": {"en": "LoRA", "zh": "LoRA"},
    "LoRA, C": {"en": "LoRA, ChatGLM-6B's layout", "zh": "LoRA，ChatGLM-6B 的结构"},
    "4-bit LoRA": {"en": "LoRA, 4 bits", "zh": "LoRA，4 位"},
    "freeze, last 3 layers": {"en": "freeze, 3 layers", "zh": "freeze，3 层"},
    "P-tuning v2": {"en": "P-tuning v2", "zh": "P-tuning v2"},
}
HEADS = {
    "en": ("work", "against", "ours", "theirs", "measured", "goal", "met"),
    "zh": ("任务", "对比", "我们", "对方", "结果", "目标", "达到"),
}
SHORT_HEADS = {
    "en": ("", "against", "tokens/s, ours : theirs", "speed", "memory"),
    "zh": ("", "对比", "每秒词元，我们 : 对方", "速度", "内存"),
}
MET = {
    "en": {True: "yes", False: "**no**", None: "?"},
    "zh": {True: "是", False: "**否**", None: "?"},
}
UNMEASURED = {"en": "not measured", "zh": "未测"}
MACHINE = {
    "en": "{processor} ({capability}), {threads} thread{s}, {versions}; float32 but where it is "
    "said, medians of turns{note}:\n",
    "zh": "{processor}（{capability}），{threads} 个线程，{versions}；"
    "未注明的为 float32，取各轮的中位数{note}：\n",
}
SHOWN_VERSIONS = ("torch", "transformers", "peft")
# what the figures say → the same in Chinese
CHINESE = (
    (r"share of the machine's limit", "机器极限的占比"),
    (r"memory of activations", "激活的内存"),
    (r"loss over (\d+) steps", r"\1 步的损失"),
    (r"float32 of another seed", "另一个种子的 float32"),
    (r"(\S+) from float32", r"与 float32 差 \1"),
    (r"our float32", "自己的 float32"),
    (r"our one", "自己的一个"),
    (r"fastest peer: ", "最快："),
    (r"leanest peer: ", "最省："),
    (r"Trainer, bitsandbytes, peft", "Trainer、bitsandbytes、peft"),
    (r"products by (\S+)", r"\1 乘法"),
    (r"the published algorithm", "发布的算法"),
    (r"peft's prefix tuning", "peft 的 prefix tuning"),
    (r"last (\d+) layers", r"最后 \1 层"),
    (r"one row × (\d+)", r"一行 × \1"),
    (r"by length", "按长度"),
    (r"flattened", "展平"),
    (r"padded", "填充"),
    (r"decoding one chat", "解码一个对话"),
    (r"decoding (\d+) at once", r"同时解码 \1 个"),
    (r"second start on ([\d,]+) rows, to the first step", r"第二次启动，\1 行，到第一步"),
    (r"loading the model", "加载模型"),
    (r"to a refused config", "到拒绝配置"),
    (r"(\d+)-bit LoRA", r"\1 位 LoRA"),
    (r"\bspeed\b", "速度"),
    (r"\bmemory\b", "内存"),
    (r", ", "，"),
)


def table(language: str, figures: dict[str, Any]) -> str:
    """Every goal, and the machine."""
    lines = [_machine(language, figures["machine"]), _line(HEADS[language])]
    lines.append("|---|---|---:|---:|---:|---:|---|")
    lines += [_row(row, language) for row in figures["table"]]
    return "\n".join(lines) + "\n"


def short_table(language: str, figures: dict[str, Any]) -> str:
    """Speed and memory of a few works, each in one line."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in figures["table"]:
        rows.setdefault(row["work"], []).append(row)
    lines = [_line(SHORT_HEADS[language]), "|---|---|---|---:|---:|"]
    for work, names in SHORT.items():
        both = zip(rows.get(f"{work}, speed", ()), rows.get(f"{work}, memory", ()), strict=False)
        # against a default, and then against the best that others can do
        for number, (speed, memory) in enumerate(both):
            if None not in (speed["value"], memory["value"]):
                name = "" if number else names[language]
                lines.append(_short(name, speed, memory, language))
    return "\n".join(lines) + "\n"


def _short(name: str, speed: dict[str, Any], memory: dict[str, Any], language: str) -> str:
    """Speed and memory beside each other; the fastest of others need not be the leanest."""
    against = dict.fromkeys((_said(speed["against"], language), _said(memory["against"], language)))
    pair = f"{_number(speed['ours'])} : {_number(speed['theirs'])}"
    factors = f"{speed['value']:.1f} ×", f"{memory['value']:.2f} ×"
    return _line((name, " · ".join(against), pair, *factors))


def _row(row: dict[str, Any], language: str) -> str:
    value = UNMEASURED[language] if row["value"] is None else f"{row['value']:.2f}"
    sign = "≥" if row["is_least"] else "≤"
    words = [_said(row[key], language) for key in ("work", "against", "ours", "theirs")]
    return _line((*words, value, f"{sign} {row['goal']:g}", MET[language][row["met"]]))


def _machine(language: str, machine: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {machine['versions'][name].partition('+')[0]}" for name in SHOWN_VERSIONS
    )
    return MACHINE[language].format(
        processor=machine["processor"],
        capability=machine["torch_capability"],
        threads=machine["threads"],
        s="" if machine["threads"] == 1 else "s",
        versions=versions if language == "en" else versions.replace(", ", "，"),
        note=machine.get("note", {}).get(language, ""),
    )


def _said(text: str, language: str) -> str:
    if language == "zh":
        for pattern, words in CHINESE:
            text = re.sub(pattern, words, text)
    return text


def _number(text: str) -> str:
    return text.removesuffix("/s")


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def pages() -> dict[str, str]:
    """Name of a page → the page with its table as it should be."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    found = {}
    for names, made in ((PERFORMANCE, table), (README, short_table)):
        for language, name in names.items():
            before, begin, rest = (ROOT / name).read_text(encoding="utf-8").partition(BEGIN)
            _, end, after = rest.partition(END)
            assert begin and end, name
            found[name] = before + begin + made(language, figures) + end + after
    return found


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / name).write_text(text, encoding="utf-8")
