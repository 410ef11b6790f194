"""Models are made whole, though ZeRO-3 is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.integrations import deepspeed


@contextmanager
def undivided() -> Iterator[None]:
    """In it transformers divides no model as it makes it, before anything is read into it.

    DeepSpeed's engine divides what was read, and sends it from the first process to the others.
    """
    reference = deepspeed._hf_deepspeed_config_weak_ref
    config = None if reference is None else reference()
    if config is None:
        yield
        return
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed.set_hf_deepspeed_config(config)
