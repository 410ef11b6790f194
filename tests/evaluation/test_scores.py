"""BLEU and ROUGE: what the libraries give when put together by hand, and figures by hand."""

import logging

import jieba
import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_chinese import Rouge
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import sentence_bleu as sacre_sentence_bleu
from sacrebleu.metrics import BLEU

from tuneglm.evaluation.scores import SCORES, corpus_bleu, scores_of

jieba.setLogLevel(logging.ERROR)

# an answer, and what was expected
PAIRS = (
    ("今天天气很好，我们去公园散步吧。", "今天天气不错，我们一起去公园走走。"),
    ("北京是中国的首都", "中国的首都是北京。"),
    ("The cat sat on the mat.", "A cat is sitting on the mat."),
    ("我叫星河。\n我由北斗实验室开发！还有什么？", "我是星河，由北斗实验室开发。"),
    ("好", "好"),
    ("def add(a, b):\n    return a + b", "def add(a, b): return b + a"),
)


@pytest.mark.parametrize(("answer", "label"), PAIRS)
def test_figures_are_those_of_the_libraries(answer: str, label: str) -> None:
    found = {name: each[0] for name, each in scores_of([answer], [label]).items()}
    smoothing = SmoothingFunction().method3
    bleu = sentence_bleu([list(label)], list(answer), smoothing_function=smoothing)
    assert found["bleu-4"] == pytest.approx(100 * bleu, abs=5e-5)
    words = [" ".join(jieba.cut(text)) for text in (answer, label)]
    for name, figure in Rouge().get_scores(*words)[0].items():
        assert found[name] == pytest.approx(100 * figure["f"], abs=5e-5)
    tokens = "zh" if any("一" <= letter <= "龥" for letter in label) else "13a"
    sacre = sacre_sentence_bleu(answer, [label], tokenize=tokens).score
    assert found["sacrebleu"] == pytest.approx(sacre, abs=5e-5)
    google = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(label, answer)
    for name, figure in google.items():
        assert found[name] == pytest.approx(100 * figure.fmeasure, abs=5e-5)


def test_figures_by_hand() -> None:
    """Five words of which all are among six: P 1, R 5/6; of two pairs in four and five; and so on.

    BLEU of characters: 8/8, 5/7, 3/6, 2/5 and the penalty exp(1 - 9/8).
    """
    answer, label = PAIRS[1]
    found = {name: each[0] for name, each in scores_of([answer], [label]).items()}
    assert found["rouge-1"] == 90.9091
    assert found["rouge-2"] == 44.4444
    assert found["rouge-l"] == 54.5455
    assert found["bleu-4"] == 54.2549
    assert found["rouge1"] == 0


@pytest.mark.parametrize(
    ("answer", "label"), [("", "有"), ("有", ""), ("", ""), (" \n", "x"), ("x", "\n"), ("。", "？")]
)
def test_nothing_has_no_score_and_breaks_nothing(answer: str, label: str) -> None:
    found = scores_of([answer], [label])
    assert list(found) == list(SCORES)
    assert all(each == [0.0] for each in found.values())


def test_a_row_that_is_right_has_all() -> None:
    text = "我是星河，由北斗实验室开发。"
    found = scores_of([text], [text])
    for name in ("bleu-4", "rouge-1", "rouge-2", "rouge-l", "sacrebleu"):
        assert found[name][0] == pytest.approx(100, abs=1e-4)


def test_bleu_of_all_rows_is_sacrebleus_own() -> None:
    answers, labels = zip(*PAIRS, strict=True)
    expected = BLEU(tokenize="zh").corpus_score(list(answers), [list(labels)]).score
    assert corpus_bleu(answers, labels) == pytest.approx(expected)
