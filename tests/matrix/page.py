"""The matrix as the pages on methods and the READMEs show it: drawn from the cells.

The READMEs have a line for each family, with the widths that each method has there.
"""

from pathlib import Path

from tests.matrix.cells import BATCHING, BITS, CELLS, METHODS, PROCESSES, REFUSED
from tuneglm.models import FAMILIES

ROOT = Path(__file__).parents[2]
PAGES = {language: ROOT / "docs" / language / "methods.md" for language in ("en", "zh")}
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README_zh.md"}
BEGIN, END = "<!-- the matrix: make matrix -->\n", "<!-- end of the matrix -->\n"
# which models are of which family
MODELS = {
    "chatglm": {"en": "ChatGLM-6B", "zh": "ChatGLM-6B"},
    "chatglm2": {"en": "ChatGLM2-6B, CodeGeeX2", "zh": "ChatGLM2-6B、CodeGeeX2"},
    "chatglm3": {"en": "ChatGLM3-6B", "zh": "ChatGLM3-6B"},
    "glm4": {"en": "GLM-4-9B", "zh": "GLM-4-9B"},
    "native": {
        "en": "GLM-4-0414, GLM-Edge … all of transformers",
        "zh": "GLM-4-0414、GLM-Edge……transformers 的所有模型",
    },
}
HEADS = {
    "en": ("16 bits", "8 bits", "4 bits", "official int8", "official int4"),
    "zh": ("16 比特", "8 比特", "4 比特", "官方 int8", "官方 int4"),
}
YES = {"en": "yes", "zh": "可以"}
NO = {"en": "refused ({})", "zh": "拒绝（{}）"}
REASON = {"en": "({}) {}", "zh": "（{}）{}"}
WORDS = {
    "en": (
        "Each place stands for {families};\n"
        "padded and packed rows; one process and two. Of these {count} cells {running} train,\n"
        "save, load and answer, and {refused} are refused before a weight is read.\n"
        "The official packed forms are those of the families with a published layout.\n"
    ),
    "zh": (
        "每一格代表 {families}，\n"
        "填充与打包的行，一个与两个进程。这 {count} 种组合中，\n"
        "{running} 种能训练、保存、加载并回答，{refused} 种在读取权重之前被拒绝。\n"
        "官方打包格式属于有官方布局的系列。\n"
    ),
}


def table(language: str) -> str:
    """Methods × bits, and what they stand for."""
    lines = [
        f"| | {' | '.join(HEADS[language])} |",
        f"|---|{'---|' * len(BITS)}",
        *(
            f"| `{method}` | {' | '.join(_said(method, bits, language) for bits in BITS)} |"
            for method in METHODS
        ),
    ]
    assert BATCHING == ("padded", "packed") and PROCESSES == (1, 2)
    refused = sum(cell.refusal is not None for cell in CELLS)
    names = {True: ", ", False: "、"}[language == "en"]
    words = WORDS[language].format(
        families=names.join(f"`{name}`" for name in FAMILIES),
        count=len(CELLS),
        running=len(CELLS) - refused,
        refused=refused,
    )
    reasons = (
        REASON[language].format(number, reason)
        for number, reason in enumerate(_reasons(language), start=1)
    )
    return "\n".join([*lines, "", *reasons, "", words])


def _said(method: str, bits: str, language: str) -> str:
    refusal = REFUSED.get((method, bits))
    if refusal is None:
        return YES[language]
    number = _reasons(language).index(getattr(refusal, language)) + 1
    return NO[language].format(number)


def _reasons(language: str) -> list[str]:
    """Each different one, as the pages number them."""
    return list(dict.fromkeys(getattr(each, language) for each in REFUSED.values()))


def families(language: str) -> str:
    """Families × methods, in each place the widths in which that works."""
    heads = " | ".join(f"`{method}`" for method in METHODS)
    lines = [f"| | {heads} |", f"|---|{'---|' * len(METHODS)}"]
    for family in FAMILIES:
        places = (_widths(family, method) for method in METHODS)
        lines.append(f"| {MODELS[family][language]} | {' | '.join(places)} |")
    return "\n".join(lines) + "\n"


def _widths(family: str, method: str) -> str:
    cells = [cell for cell in CELLS if (cell.family, cell.method) == (family, method)]
    return " · ".join(dict.fromkeys(cell.bits for cell in cells if cell.refusal is None))


def written(page: Path) -> str:
    """What stands on a page now."""
    return page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def drawn() -> dict[Path, str]:
    """Page → what should stand on it."""
    pages = {page: table(language) for language, page in PAGES.items()}
    return pages | {page: families(language) for language, page in READMES.items()}


def write() -> None:
    """Put the tables between their marks, in both languages."""
    for page, text in drawn().items():
        before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        page.write_text(before + begin + text + end + after, encoding="utf-8")
