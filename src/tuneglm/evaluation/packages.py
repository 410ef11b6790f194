"""Packages that only evaluation needs, and that an extra installs."""

from importlib.util import find_spec

from tuneglm.errors import ConfigError

EXTRAS = {
    "eval": ("jieba", "nltk", "rouge_chinese", "rouge_score", "sacrebleu"),
    "suites": ("lm_eval",),
}


def need(extra: str, what: str) -> None:
    """Raise ConfigError where a package of an extra is missing; `what` begins the sentence."""
    for name in EXTRAS[extra]:
        if find_spec(name) is None:
            raise ConfigError(
                f"{what} needs the package `{name}`, which is not installed.",
                f'pip install "tuneglm[{extra}]"',
            )
