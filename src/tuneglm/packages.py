"""What the extras of tuneglm install, and whether it is here: `pip install "tuneglm[web]"`."""

from importlib.util import find_spec

from tuneglm.errors import ConfigError

# as they are imported; gradio brings the others of its extra
EXTRAS: dict[str, tuple[str, ...]] = {
    "quant": ("bitsandbytes",),
    "shard": ("deepspeed",),
    "web": ("gradio", "fastapi", "uvicorn"),
    "api": ("fastapi", "prometheus_client", "uvicorn"),
    "eval": ("jieba", "nltk", "rouge_chinese", "rouge_score", "sacrebleu"),
    "suites": ("lm_eval",),
    "gguf": ("gguf",),
}


def missing(extra: str) -> list[str]:
    """The packages of an extra that are not installed; nothing is imported."""
    return [name for name in EXTRAS[extra] if not _is_here(name)]


def _is_here(name: str) -> bool:
    """Whether a package can be imported: a folder that was left behind has no file to import."""
    found = find_spec(name)
    return found is not None and found.origin is not None


def install(extra: str) -> str:
    """What to type for it."""
    return f'pip install "tuneglm[{extra}]"'


def need(extra: str, what: str) -> None:
    """Raise ConfigError where a package of an extra is missing; `what` begins the sentence."""
    absent = missing(extra)
    if absent:
        raise ConfigError(
            f"{what} needs the package `{absent[0]}`, which is not installed.", install(extra)
        )
