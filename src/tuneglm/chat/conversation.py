"""The conversation: a question, and the answers of one or several to it."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TextIO

from tuneglm.chat.repetition import Repetition, without_circle
from tuneglm.chat.screen import Screen
from tuneglm.chat.turns import Turn
from tuneglm.chat.voices import Messages, Voice
from tuneglm.config import ChatConfig
from tuneglm.data.columns import printable
from tuneglm.errors import DataError


class Chat:
    """A conversation with one or several, and what the commands do to it.

    is_typed  whether a person types the questions, for whom Ctrl-C ends an answer and not the
              conversation
    saved     files that `/save` wrote here, which it may write again
    """

    def __init__(
        self,
        voices: Sequence[Voice],
        config: ChatConfig,
        output: TextIO,
        *,
        is_typed: bool = True,
    ) -> None:
        self.voices = voices
        self.is_typed = is_typed
        self.config = config
        self.screen = Screen(output)
        self.saved: set[Path] = set()

    def ask(self, question: str) -> None:
        """Let each answer, and keep what it said."""
        message = {"role": "user", "content": question}
        turn = self.screen.turn([voice.name for voice in self.voices])
        try:
            for place, voice in enumerate(self.voices):
                turn.begin(place)
                self._answer(voice, [*voice.messages, message], turn)
        finally:
            turn.close()

    def begin_anew(self) -> None:
        """Forget what was said."""
        for voice in self.voices:
            voice.messages = []

    def _answer(self, voice: Voice, conversation: Messages, turn: Turn) -> None:
        seen, note = Repetition(), ""
        try:
            with closing(voice.stream(conversation, self.config)) as pieces:
                note = _shown(pieces, turn, seen)
        except KeyboardInterrupt:
            if not self.is_typed:
                raise
            note = " …"
        except DataError as error:
            note = str(error)
        turn.end(note)
        answer = seen.text.strip()
        if answer:
            voice.messages = [*conversation, {"role": "assistant", "content": answer}]


def _shown(pieces: Iterable[str], turn: Turn, seen: Repetition) -> str:
    """Hand each piece on; what there is to say where the answer had to be stopped."""
    for piece in pieces:
        turn.write(piece)
        circle = seen.add(piece)
        if circle is not None:
            seen.text = without_circle(seen.text, circle)
            return (
                f"\nStopped: `{printable(circle.unit)}` came {circle.copies} times in a row.\n"
                "  hint: `/set repetition_penalty 1.1` makes it less likely, `/retry` asks again; "
                "a model that often does it has not learnt its end token: train it longer, or on "
                "whole answers (data.cutoff)"
            )
    return ""
