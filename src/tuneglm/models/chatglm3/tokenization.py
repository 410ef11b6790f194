"""ChatGLM3's tokenizer: ChatGLM2's, and a token for each role."""

from pathlib import Path

from tuneglm.models.chatglm2.tokenization import ChatGLM2TokenizerFast
from tuneglm.models.chatglm3.prompt import TEMPLATE, render
from tuneglm.models.prompt import ROLE_TOKENS


class ChatGLM3TokenizerFast(ChatGLM2TokenizerFast):
    """The ids of the published class, in batches; see `GlmTokenizerFast`."""

    family = "chatglm3"
    specials = (*ChatGLM2TokenizerFast.specials, *ROLE_TOKENS.values())
    template = TEMPLATE
    render = staticmethod(render)


def load_tokenizer(folder: Path) -> ChatGLM3TokenizerFast:
    """The tokenizer of a folder, published or saved by us; raises ModelError."""
    return ChatGLM3TokenizerFast.load(folder)
