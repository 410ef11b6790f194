"""The matrix as the pages on methods show it: drawn from the cells and from what is refused."""

from pathlib import Path

from tests.matrix.cells import BATCHING, BITS, CELLS, METHODS, PROCESSES, REFUSED
from tuneglm.models import FAMILIES

PAGES = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- the matrix: make matrix -->\n", "<!-- end of the matrix -->\n"
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


def written(language: str) -> str:
    """What stands on the page now."""
    return _page(language).read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def write() -> None:
    """Put the table between its marks, in both languages."""
    for language in HEADS:
        before, begin, rest = _page(language).read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        text = before + begin + table(language) + end + after
        _page(language).write_text(text, encoding="utf-8")


def _page(language: str) -> Path:
    return PAGES / language / "methods.md"
