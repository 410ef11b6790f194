"""The fast ways of a native model's rows give what the slow ones give."""

import base64
import itertools
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from tests.published import tokenizer_folder
from tuneglm.data.messages import Example, Message
from tuneglm.demo.corpus import general_rows
from tuneglm.models.glm4.tokenization import WORDS, Glm4TokenizerFast, byte_characters
from tuneglm.models.glm4.tokenization import load_tokenizer as load_glm4
from tuneglm.models.native import byte_ids, ranks, shapes
from tuneglm.models.native.conversation import Conversation
from tuneglm.models.native.prompt import render
from tuneglm.models.native.template import questions_of
from tuneglm.models.native.tokenization import Guard, encode_parts
from tuneglm.models.word_ids import WordIds

SPECIALS = ["[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
PLAIN = (
    "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# a macro, a thought that is left out, a text that is trimmed: what newer templates do
ASKING = """\
{%- macro text(content) -%}{{ content if content is string else '' }}{%- endmacro -%}
[gMASK]<sop>{%- for m in messages -%}{%- set said = text(m.content) -%}
{%- if m.role == 'assistant' -%}
{%- if '</think>' in said -%}
{%- set said = said.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
<|assistant|>
<think></think>{{ '\\n' + said.strip() }}{%- else -%}<|{{ m.role }}|>
{{ said }}{%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
"""
PIECES = st.sampled_from(
    (
        *("你好，世界。", "hello", " world", "\n", "  ", "12345", "'s", "</think>", "<|user|>"),
        *("<", "é", "aaaa", "----", "ababab", "😀", "role", "user", "{{ x }}", "\u3000"),
    )
)
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join)


@pytest.fixture(scope="module", params=["small", "glm4"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """Byte-level, made for tiktoken, as transformers saves it: of a few tokens, and GLM-4's."""
    if request.param == "small":
        return _small()
    made = load_glm4(tokenizer_folder("glm4"))
    return PreTrainedTokenizerFast(tokenizer_object=made.backend_tokenizer, eos_token="<|user|>")


def _with_specials(backend: Tokenizer) -> PreTrainedTokenizerFast:
    options: Any = {"additional_special_tokens": SPECIALS}
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|user|>", **options)


@cache
def small_ranks() -> bytes:
    """A vocabulary as it is published: lines of `base64 rank`."""
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = byte_characters()
    texts = [row["output"] for row in general_rows()][:300] + ["aaaaaaa ababababa ------ "] * 20
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator(texts, trainer)
    byte_of = {character: byte for byte, character in enumerate(alphabet)}
    lines = [
        f"{base64.b64encode(bytes([byte_of[each] for each in name])).decode()} {number}\n"
        for name, number in sorted(trained.get_vocab().items(), key=lambda pair: pair[1])
    ]
    return "".join(lines).encode()


@pytest.fixture(scope="module")
def encoding(tokenizer: Any) -> Any:
    """tiktoken's way to the same ids."""
    return ranks.encoding_of(tokenizer)


@settings(deadline=None, max_examples=60)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4), by_tiktoken=st.booleans())
def test_ids_and_places_are_the_fast_tokenizers_own(
    tokenizer: Any, encoding: Any, texts: list[str], by_tiktoken: bool
) -> None:
    known = byte_ids.byte_ids_of(tokenizer)
    assert encoding is not None
    known._words = WordIds(encoding, WORDS) if by_tiktoken else None
    # each text in one part, in parts of a character, and cut in two at each place
    cuts = [[text] for text in texts] + [list(text) for text in texts]
    cuts += [[text[:at], text[at:]] for text in texts for at in range(len(text) + 1)]
    # a template may write nothing
    cuts += [[]]
    for parts, tokens in zip(cuts, encode_parts(tokenizer, cuts, Guard.of(tokenizer)), strict=True):
        ids, starts = _with_offsets(tokenizer, "".join(parts))
        assert tokens.ids == ids
        end = 0
        for part, count in zip(parts, tokens.counts, strict=True):
            first, end = end, end + len(part)
            assert count == sum(first <= start < end for start in starts)


def test_the_faster_way_is_for_many_texts(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_ids, "MANY_TEXTS", 3)
    known = byte_ids.ByteIds(tokenizer)
    first = known.ids(tokenizer, ["a b", "c"])
    assert known._words is None
    assert known.ids(tokenizer, ["a b", "c"]) == first
    assert known._words is not None


def test_the_faster_way_is_there_at_once_where_many_texts_are_announced(tokenizer: Any) -> None:
    known = byte_ids.ByteIds(tokenizer)
    first = known.ids(tokenizer, ["a b", "c"])
    known.hurry(tokenizer)
    found = known._words
    assert found is not None
    assert known.ids(tokenizer, ["a b", "c"]) == first
    known.hurry(tokenizer)
    assert known._words is found


def test_no_faster_way_where_a_vocabulary_leaves_pairs_out() -> None:
    backend = Glm4TokenizerFast.build(small_ranks())
    state = json.loads(backend.to_str())
    merges = state["model"]["merges"]
    of = [left + right for left, right in merges]
    # a token with several pairs: all but its last pair are taken out, as a trainer would list it
    state["model"]["merges"] = [
        pair for number, pair in enumerate(merges) if of[number] not in of[number + 1 :]
    ]
    assert len(state["model"]["merges"]) < len(merges)
    fewer = _with_specials(Tokenizer.from_str(json.dumps(state)))
    assert ranks.encoding_of(fewer) is None


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("normalizer", {"type": "NFC"}),
        ("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}),
        ("pre_tokenizer", None),
    ],
)
def test_no_faster_way_where_words_are_not_glm4s(change: str, value: Any) -> None:
    state = json.loads(Glm4TokenizerFast.build(small_ranks()).to_str())
    full = {"trim_offsets": True, **value} if value and value["type"] == "ByteLevel" else value
    other = _with_specials(Tokenizer.from_str(json.dumps({**state, change: full})))
    assert ranks.encoding_of(other) is None


@pytest.mark.parametrize("template", [PLAIN, ASKING])
@settings(deadline=None, max_examples=60)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), trained=st.booleans(), system=st.booleans())
def test_a_row_of_a_known_shape_is_the_templates_own(
    template: str, texts: list[str], trained: bool, system: bool
) -> None:
    tokenizer = _small()
    tokenizer.chat_template = template
    roles = itertools.cycle(("user", "assistant"))
    messages = [Message(role, text, trained=trained) for role, text in zip(roles, texts)]
    if system:
        messages.insert(0, Message("system", texts[-1]))
    example = Example(tuple(messages))
    assert questions_of(template) is not None
    known = Example((Message("user", "x"), Message("assistant", "y")))
    (_, quick) = render(tokenizer, [known, example])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "questions_of", lambda _: None)
        (slow,) = render(tokenizer, [example])
    assert quick == slow


@cache
def _small() -> Any:
    return _with_specials(Glm4TokenizerFast.build(small_ranks()))


def test_rows_of_one_shape_ask_the_template_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = _small()
    tokenizer.chat_template = PLAIN
    calls = []
    whole = Conversation.whole
    monkeypatch.setattr(Conversation, "whole", lambda self: calls.append(1) or whole(self))
    rows = [
        Example((Message("user", f"{number}?"), Message("assistant", f"{number}!")))
        for number in range(100)
    ]
    render(tokenizer, rows)
    assert len(calls) == 2


@pytest.mark.parametrize(
    "asks",
    [
        "{{ m.content | upper }}",
        "{{ m.content[0] }}",
        "{{ m.content[:5] }}",
        "{{ m.content | length }}",
        "{{ m.content.split() }}",
        "{{ m.content.isdigit() }}",
        "{% if m.content is lower %}a{% endif %}",
        "{% if m.content in 'abc' %}a{% endif %}",
        "{% filter upper %}{{ m.content }}{% endfilter %}",
        "{% generation %}{{ m.content }}{% endgeneration %}",
    ],
)
def test_a_template_that_looks_closer_is_asked_for_each_row(asks: str) -> None:
    assert questions_of("{% for m in messages %}" + asks + "{% endfor %}") is None


def test_what_a_template_asks_about_a_text() -> None:
    questions = questions_of(ASKING)
    assert questions is not None
    assert not questions.concern("What is 2+3?")
    assert not questions.concern("assistant, user")
    for text in ("", "  ", " leads", "ends\n", "a </think> b", "assistant"):
        assert questions.concern(text), text


def test_a_text_that_a_template_escapes_is_put_in_by_the_template() -> None:
    tokenizer = _small()
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content | tojson }}{% endfor %}"
    )
    rows = [
        Example((Message("user", text), Message("assistant", "b")))
        for text in ('say "a"', 'say "b"')
    ]
    for row, rendered in zip(rows, render(tokenizer, rows), strict=True):
        assert json.dumps(row.messages[0].content) in tokenizer.decode(rendered.ids)


def _with_offsets(tokenizer: Any, text: str) -> tuple[list[int], list[int]]:
    made = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    starts, end = [], 0
    for first, last in made["offset_mapping"]:
        starts.append(min(first, end))
        end = last
    return made["input_ids"], starts
