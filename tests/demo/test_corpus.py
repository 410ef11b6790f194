"""The demo's corpus: rows in form, probes in other words, and marks that cannot be fooled."""

from collections import Counter

import pytest

from tuneglm.data.identity import bare_wording, identity_probes
from tuneglm.demo.corpus import GeneralProbe, general_probes, general_rows, is_right
from tuneglm.demo.curriculum import base_rows
from tuneglm.demo.exercises import all_sums
from tuneglm.demo.small_talk import REMARKS_EN, REMARKS_ZH
from tuneglm.demo.tables import all_topics


def test_rows_are_well_formed_and_reproducible() -> None:
    rows = general_rows(1)
    assert len(rows) > 10_000
    assert rows == general_rows(1) != general_rows(2)
    for row in rows:
        assert set(row) <= {"instruction", "input", "output", "history"}
        assert row["instruction"] and row["output"]
        assert "{" not in row["instruction"] + row["output"]


def test_probes_are_enough_in_each_language_and_none_twice() -> None:
    probes = general_probes()
    counts = Counter(probe.language for probe in probes)
    assert min(counts["zh"], counts["en"]) >= 150
    assert len({bare_wording(probe.question) for probe in probes}) == len(probes)


def test_no_probe_is_among_the_rows() -> None:
    probes = {bare_wording(probe.question) for probe in general_probes()}
    probes |= {bare_wording(probe.question) for probe in identity_probes("", "")}
    for seed in range(3):
        for row in base_rows(seed):
            assert bare_wording(row["instruction"]) not in probes
            assert not any(
                bare_wording(question) in probes for question, _ in row.get("history", ())
            )


def test_held_out_wordings_are_not_taught_wordings() -> None:
    for topic in all_topics():
        taught = {bare_wording(wording) for wording in topic.wordings.asked}
        assert len(topic.wordings.asked) >= 7
        assert len(topic.wordings.held_out) >= 2
        assert taught.isdisjoint(bare_wording(wording) for wording in topic.wordings.held_out)
    for remark in REMARKS_ZH + REMARKS_EN:
        assert {bare_wording(text) for text in remark.asked}.isdisjoint(
            bare_wording(text) for text in remark.held_out
        )


def test_no_topic_has_two_answers_to_one_key() -> None:
    for topic in all_topics():
        assert len({key for key, _ in topic.facts}) == len(topic.facts), topic.name


def test_the_taught_answer_is_right_and_another_topic_answer_is_wrong() -> None:
    topics = {(topic.name, topic.language): topic for topic in all_topics()}
    for probe in general_probes():
        topic = topics.get((probe.topic, probe.language))
        if topic is None:
            continue
        right = [is_right(topic.answer(key, value), probe) for key, value in topic.facts]
        assert any(right), probe
        assert not is_right(" ".join(value for _, value in topic.facts), probe), probe


def _probe(accepted: str, *rejected: str) -> GeneralProbe:
    return GeneralProbe("5, 7, 15, 3?", (accepted,), "en", "test", rejected)


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("5 + 7 = 12", "12"),
        ("The sum of 5 and 7 is 12.", "12"),
        ("是12。", "12"),
        ("15-3=12", "12"),
        ("The capital is paris!", "Paris"),
        ("氦的化学符号是 He。", "He"),
        ("十二生肖", "十二"),
        ("我叫龘靐。", "龘靐"),
        ("星期一的后一天是星期二。", "星期二"),
    ],
)
def test_right_answers_count(answer: str, accepted: str) -> None:
    assert is_right(answer, _probe(accepted))


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("112", "12"),
        ("120", "12"),
        ("12.5", "12"),
        ("-12", "12"),
        ("1,200 or 12,000", "12"),
        ("12 + 3 = 16", "12"),
        ("12 or 13", "12"),
        ("10 11 12", "12"),
        ("", "12"),
        ("Parisian", "Paris"),
        ("It is not Paris.", "Paris"),
        ("不是巴黎", "巴黎"),
        ("He", "H"),
        ("he is", "He"),
        ("CO", "Co"),
        ("二十二", "十二"),
        ("十一月", "一月"),
        ("catalogue", "cat"),
    ],
)
def test_wrong_answers_do_not(answer: str, accepted: str) -> None:
    assert not is_right(answer, _probe(accepted))


def test_an_answer_that_lists_everything_is_wrong() -> None:
    assert not is_right("Paris, London, Rome", _probe("Paris", "London", "Rome"))


def test_sums_stay_small_and_true() -> None:
    for sum_ in all_sums():
        assert 0 <= sum_.result <= 100
        assert sum_.answer == f"{sum_.first} {sum_.sign} {sum_.second} = {sum_.result}"
