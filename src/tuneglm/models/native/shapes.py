"""Conversations of one shape: rendered once, then put together from their texts.

    shape          system, user, assistant (trained)
    rendered once  <|system|>⟨0⟩<|user|>⟨1⟩<|assistant|>⟨2⟩<|user|>
    each of them   the same with its own texts

Rendering a template takes longer than all else about a row but its tokens. This is
done where the template is known not to treat the texts unlike others (template.py),
and where two renderings with unlike marks agree.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from tuneglm.data.messages import Example
from tuneglm.errors import DataError
from tuneglm.models.native.conversation import Conversation, Format, Part
from tuneglm.models.native.template import questions_of
from tuneglm.models.native.tokenization import Guard

# a mark as short as can be, and one of many kinds of characters, which no filter leaves as it is
_MARKS = ("\U000f0003{}\U000f0004", '\U000f0003{}\U000f0004Ab <1> "c"。\n\té\U000f0005')
_MARK_LEFT = re.compile("[\U000f0003-\U000f0005]")

# roles, and whether what each says is trained
Key = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Hole:
    """A part of a shape whose text is that of a message."""

    message: int
    trained: bool
    content: bool


Shape = list[Part | Hole]


class Shapes:
    """The shapes of many conversations of one tokenizer, each rendered when it is first met."""

    def __init__(self, tokenizer: Any, form: Format, guard: Guard) -> None:
        self._tokenizer, self._form, self._guard = tokenizer, form, guard
        self._questions = questions_of(tokenizer.chat_template)
        self._known: dict[Key, Shape | None] = {}

    def parts(self, example: Example) -> list[Part]:
        """A whole conversation; raises DataError where the template refuses it."""
        shape = self._shape(example) if self._is_plain(example) else None
        if shape is None:
            return self._conversation(example).whole()
        texts = [message.content for message in example.messages]
        return [
            Part(texts[each.message], each.trained, each.content)
            if isinstance(each, Hole)
            else each
            for each in shape
        ]

    def _is_plain(self, example: Example) -> bool:
        """Whether it is made of texts alone, none of which the template may treat specially."""
        questions = self._questions
        if questions is None or example.tools:
            return False
        texts = set()
        for message in example.messages:
            text = message.content
            # a template may compare two texts
            if text in texts or message.tool_calls or message.metadata:
                return False
            if questions.concern(text) or self._guard.concerns(text):
                return False
            texts.add(text)
        return True

    def _shape(self, example: Example) -> Shape | None:
        key = tuple((each.role, each.trained is not False) for each in example.messages)
        if key not in self._known:
            self._known[key] = self._found(example)
        return self._known[key]

    def _found(self, example: Example) -> Shape | None:
        """The shape of a conversation; None where its texts do not stand in it as they are."""
        try:
            first, second = (self._marked(example, mark) for mark in _MARKS)
        except DataError:
            return None
        left = any(isinstance(each, Part) and _MARK_LEFT.search(each.text) for each in first)
        return first if first == second and not left else None

    def _marked(self, example: Example, mark: str) -> Shape:
        marked = [
            replace(message, content=mark.format(number))
            for number, message in enumerate(example.messages)
        ]
        found = re.compile(re.escape(mark).replace(re.escape("{}"), r"(\d+)"))
        shape: Shape = []
        for part in self._conversation(example.with_messages(marked)).whole():
            for number, piece in enumerate(found.split(part.text)):
                if number % 2:
                    shape.append(Hole(int(piece), part.trained, part.content))
                elif piece:
                    shape.append(replace(part, text=piece))
        return shape

    def _conversation(self, example: Example) -> Conversation:
        return Conversation(self._tokenizer, self._form, self._guard, example)
