"""What every tab of the page is given, and what it gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from tuneglm.errors import UserError
from tuneglm.web.files import Workplace
from tuneglm.web.foresee import Plans
from tuneglm.web.paths import shown
from tuneglm.web.site import Site
from tuneglm.web.talk import Models
from tuneglm.web.words import Words

# an event that shows nothing of its own while it is at work, and is no public API
QUIET: dict[str, Any] = {
    "show_progress": "hidden",
    "concurrency_limit": None,
    "api_visibility": "private",
}
# one that does, and takes a while
SHOWN: dict[str, Any] = {"concurrency_limit": 4, "api_visibility": "private"}
SECONDS_BETWEEN_LOOKS = 2.0


@dataclass(frozen=True)
class Page:
    """The site in one language; models and plans are shared by all languages.

    chosen  the run that the command line named: it is the first choice in a conversation
    """

    site: Site
    words: Words
    models: Models
    plans: Plans
    chosen: str = ""

    def place(self, request: gr.Request) -> Workplace:
        """The workplace of whoever asks."""
        return self.site.place(request.username)

    def refusal(self, error: UserError, place: Workplace) -> str:
        """What went wrong, as HTML; paths are those that are typed in the workplace."""
        sentence, hint = (shown(text, place.root) for text in (error.sentence, error.hint or ""))
        return self.words.refusal(sentence, hint, type(error).__name__)


def offered(names: Sequence[Any], chosen: Any, first: Any = None) -> Any:
    """A list of choices; what somebody chose in the meantime stays chosen."""
    return (
        gr.Dropdown(choices=names) if chosen or first is None else gr.Dropdown(names, value=first)
    )


@dataclass(frozen=True)
class Tab:
    """What is read anew when somebody comes to a tab: lists of files, runs, models.

    parts  components that other tabs need, by name
    """

    refresh: Callable[..., Any]
    inputs: list[Any]
    outputs: list[Any]
    parts: dict[str, Any] = field(default_factory=dict)
