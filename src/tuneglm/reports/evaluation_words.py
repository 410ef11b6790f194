"""The words of an evaluation's page and picture: English as the code has them, and Chinese."""

import os
from collections.abc import Callable
from typing import Literal

from tuneglm.evaluation.findings import Note

Language = Literal["zh", "en"]
# an English word or sentence → the same in the page's language
Words = Callable[[str], str]

# what says which language a person reads, the strongest first
LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
CHINESE = {
    "Evaluation": "评测",
    "Questions": "提问",
    "In brackets 95% intervals.": "方括号里是 95% 区间。",
    "figures": "全部数值",
    "of": "数量",
    "tuned": "训练后",
    "base": "基座",
    "model": "模型",
    "difference": "差",
    "asked": "问",
    "asked (wrong answers first)": "问（答错的在前）",
    "expected": "期望",
    " (lower is better)": "（越低越好）",
    "loss": "损失",
    "perplexity": "困惑度",
    "name": "名字",
    "author": "作者",
    "general": "其他知识",
    "no leak in other answers": "其他回答不提自己",
    "all questions": "全部题目",
    "mean of subjects": "各科平均",
    "social sciences": "社会科学",
    "humanities": "人文",
    "other": "其他",
    "right answers, %": "答对，%",
    "nats a token: lower is better": "每个 token 的 nat 数：越低越好",
    "0 to 100": "0 到 100",
    "{rows:,} of {available:,} rows · {tokens:,} trained tokens": (
        "{available:,} 行中的 {rows:,} 行 · 训练的 token {tokens:,} 个"
    ),
    "{who}: sacrebleu of all rows together {bleu:.2f}": (
        "{who}：所有行合起来的 sacrebleu {bleu:.2f}"
    ),
    "{who}: {empty:,} answers are empty": "{who}：{empty:,} 个回答是空的",
    "{count} subjects": "{count} 个科目",
    "not in the folder: {count} subjects, such as {first}": (
        "文件夹里没有的科目：{count} 个，例如 {first}"
    ),
    "left out, as they do not fit into data.cutoff: {rows}": (
        "因放不进 data.cutoff 而略去：{rows} 行"
    ),
    "left out, as they hold no answer that training would train: {rows}": (
        "因没有训练会学的回答而略去：{rows} 行"
    ),
    "left out, as they cannot be used (`tuneglm data check`): {rows}": (
        "因不能用而略去（`tuneglm data check`）：{rows} 行"
    ),
}


ENGLISH: Words = str


def words_in(language: Language) -> Words:
    """What has no word in a language stays as it is: names, scores, subjects."""
    return ENGLISH if language == "en" else lambda text: CHINESE.get(text, text)


def said(note: Note, words: Words) -> str:
    """A sentence, with who is meant in the same language."""
    values = dict(note.values)
    if "who" in values:
        values["who"] = words(str(values["who"]))
    return words(note.template).format(**values)


def language_of_locale() -> Language:
    """Which of the two the terminal's settings ask for; English where they ask for another."""
    chosen = next((os.environ[name] for name in LOCALE if os.environ.get(name)), "")
    return "zh" if chosen.lower().startswith("zh") else "en"
