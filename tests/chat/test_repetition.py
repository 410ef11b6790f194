"""A model that goes round in circles is noticed; what repeats itself and is right is not."""

import random

import pytest

from tuneglm.chat.repetition import Circle, Repetition, circle_of, without_circle

CIRCLES = [
    "我是星河。" * 20,
    "好的，我来回答你的问题。" + "我是星河，由北斗实验室开发的人工智能助手。\n" * 8,
    "I think that " + "I am not sure about that, but " * 9,
    "the the the " * 20,
    "1. one\n2. two\n" + "And then he said that it was so.\n" * 9,
    "```python\n" + "x = x + 1\n" * 200,
    "0" * 1500,
]
LEGITIMATE = [
    "\n".join(f"{number}. 我是星河" for number in range(60)),
    "| a | b |\n|---|---|\n" + "".join(f"| {n} | yes |\n" for n in range(60)),
    "| 0 | 0 | 0 | 0 |\n" * 30,
    "|" + "---|" * 40,
    "```html\n<table>\n" + "  <tr><td></td><td></td></tr>\n" * 12 + "</table>\n```",
    "<tr><td></td><td></td></tr>\n" * 12,
    "```python\nboard = [\n" + "    [0, 0, 0, 0, 0, 0, 0, 0],\n" * 8,
    "```json\n" + '  {"name": null, "value": null},\n' * 10,
    "=" * 80 + "\nTitle\n" + "=" * 80,
    "哈哈哈哈哈哈哈哈哈哈",
    "\n".join(f"item{number}: the same words behind it" for number in range(80)),
    "\n".join(f'    "{name}": None,' for name in "abcdefghijklmnopqrstuvwxyz"),
    "Row, row, row your boat\nGently down the stream\n" * 3,
    "hello " * 10,
    "3.14159265358979323846264338327950288419716939937510",
]


@pytest.mark.parametrize("text", CIRCLES)
def test_a_circle_is_noticed_and_its_first_copy_kept(text: str) -> None:
    seen = Repetition()
    places = range(0, len(text), 3)
    circle = next((it for at in places if (it := seen.add(text[at : at + 3]))), None)
    assert circle is not None
    kept = without_circle(seen.text, circle)
    assert text.startswith(kept)
    assert circle_of(kept) is None
    assert len(kept) < len(text) / 2


@pytest.mark.parametrize("text", LEGITIMATE)
def test_what_is_meant_to_repeat_is_left_alone(text: str) -> None:
    seen = Repetition()
    assert [it for sign in text if (it := seen.add(sign))] == []


def test_prose_has_no_circles() -> None:
    draw = random.Random(0)
    words = [draw.choice("天地玄黄宇宙洪荒日月盈昃") * draw.randint(1, 2) for _ in range(3000)]
    assert circle_of("".join(words)) is None


def test_where_the_circle_begins() -> None:
    text = "先说别的。" + "我是星河，由北斗实验室开发。" * 7
    assert circle_of(text) == Circle("我是星河，由北斗实验室开发。", 7, 5)
