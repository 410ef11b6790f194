"""How near answers are to what was expected: BLEU and ROUGE, row by row, 0 to 100.

    bleu-4, rouge-1, rouge-2, rouge-l   as ChatGLM's tuning scripts have them: characters with
                                        nltk's smoothing 3, jieba's words with rouge-chinese
    sacrebleu                           sacrebleu's sentence BLEU; where the expected text has
                                        Chinese characters with its Chinese tokens, else its own
    rouge1, rouge2, rougeL              Google's rouge-score, which sees Latin letters and digits

A row without an answer, or without a text that was expected, has 0.
"""

import logging
import re
from collections.abc import Callable, Sequence

from tuneglm.packages import need

CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
ROUGE_CHINESE = ("rouge-1", "rouge-2", "rouge-l")
ROUGE_SCORE = ("rouge1", "rouge2", "rougeL")
SCORES = ("bleu-4", *ROUGE_CHINESE, "sacrebleu", *ROUGE_SCORE)
# what a row's figure is rounded to before the mean is taken
DIGITS = 4

Pair = tuple[str, str]  # an answer, and what was expected


def scores_of(answers: Sequence[str], labels: Sequence[str]) -> dict[str, list[float]]:
    """Each score of SCORES → its figure for each row."""
    need("eval", "Scoring by BLEU and ROUGE")
    pairs = list(zip(answers, labels, strict=True))
    found = {"bleu-4": [_bleu_of_characters(pair) for pair in pairs]}
    found |= _by_name(ROUGE_CHINESE, _rouge_chinese(), pairs)
    found["sacrebleu"] = [_sacrebleu(pair) for pair in pairs]
    found |= _by_name(ROUGE_SCORE, _rouge_score(), pairs)
    return found


def corpus_bleu(answers: Sequence[str], labels: Sequence[str]) -> float:
    """sacrebleu's BLEU of all rows together, which is not the mean of theirs."""
    need("eval", "Scoring by BLEU")
    from sacrebleu.metrics import BLEU

    return float(BLEU(tokenize=_tokens_of("".join(labels))).corpus_score(answers, [labels]).score)


def _by_name(
    names: Sequence[str], score: Callable[[Pair], Sequence[float]], pairs: Sequence[Pair]
) -> dict[str, list[float]]:
    rows = [score(pair) for pair in pairs]
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _bleu_of_characters(pair: Pair) -> float:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    answer, label = pair
    if not answer or not label:
        return 0.0
    smoothing = SmoothingFunction().method3
    figure = sentence_bleu([list(label)], list(answer), smoothing_function=smoothing)
    return round(100 * float(figure), DIGITS)


def _rouge_chinese() -> Callable[[Pair], Sequence[float]]:
    import jieba
    from rouge_chinese import Rouge

    jieba.setLogLevel(logging.ERROR)
    rouge = Rouge()

    def score(pair: Pair) -> Sequence[float]:
        answer, label = (" ".join(jieba.cut(text)) for text in pair)
        if not answer.split() or not label.split():
            return [0.0] * len(ROUGE_CHINESE)
        (figures,) = rouge.get_scores(answer, label)
        return [round(100 * figures[name]["f"], DIGITS) for name in ROUGE_CHINESE]

    return score


def _sacrebleu(pair: Pair) -> float:
    from sacrebleu.metrics import BLEU

    answer, label = pair
    if not answer.strip() or not label.strip():
        return 0.0
    bleu = BLEU(effective_order=True, tokenize=_tokens_of(label))
    return round(float(bleu.sentence_score(answer, [label]).score), DIGITS)


def _tokens_of(text: str) -> str:
    return "zh" if CHINESE.search(text) else "13a"


def _rouge_score() -> Callable[[Pair], Sequence[float]]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGE_SCORE))

    def score(pair: Pair) -> Sequence[float]:
        answer, label = pair
        figures = scorer.score(label, answer)
        return [round(100 * float(figures[name].fmeasure), DIGITS) for name in ROUGE_SCORE]

    return score
