"""Fine-tune the GLM family, and talk to the result.

    import tuneglm

    result = tuneglm.train(tuneglm.load_config("run.yaml"))
    print(tuneglm.ChatModel(result.folder).reply([{"role": "user", "content": "你是谁？"}]))

Names are imported when they are used: `import tuneglm` does not import torch.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneglm.config import ChatConfig, RunConfig, load_config
    from tuneglm.errors import UserError
    from tuneglm.generate import ChatModel
    from tuneglm.models.loading import load_model, load_tokenizer
    from tuneglm.training import train

_MODULES = {
    "ChatConfig": "tuneglm.config",
    "ChatModel": "tuneglm.generate",
    "RunConfig": "tuneglm.config",
    "UserError": "tuneglm.errors",
    "load_config": "tuneglm.config",
    "load_model": "tuneglm.models.loading",
    "load_tokenizer": "tuneglm.models.loading",
    "train": "tuneglm.training",
}

__all__ = [
    "ChatConfig",
    "ChatModel",
    "RunConfig",
    "UserError",
    "load_config",
    "load_model",
    "load_tokenizer",
    "train",
]


def _is_told(record: logging.LogRecord) -> bool:
    """Not that a hub's kernel for 4 bits is missing: bitsandbytes' own does the same."""
    return "gemm_4bit_forward" not in str(record.msg)


# it is said when bitsandbytes is imported, which peft does wherever the two are installed
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_is_told)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tuneglm")
    if name not in _MODULES:
        raise AttributeError(f"module `tuneglm` has no attribute `{name}`")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
