"""One of several processes, which does many short runs: starting Python costs more than they do.

    torchrun --nproc_per_node 2 tests/end_to_end/worker.py runs.json

runs.json is a list of runs, each a list of settings as the command line takes them.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import accelerate.state
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from tuneglm.config import load_config
from tuneglm.training import train


def let_fsdp_divide_on_cpu() -> None:
    """accelerate enters FSDP on accelerators alone; on a processor it trains with DDP instead."""
    state: Any = accelerate.state.AcceleratorState
    begin = state.__init__

    def begin_with_fsdp(self: Any, *arguments: Any, fsdp_plugin: Any = None, **named: Any) -> None:
        begin(self, *arguments, fsdp_plugin=fsdp_plugin, **named)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    state.__init__ = begin_with_fsdp


if __name__ == "__main__":
    let_fsdp_divide_on_cpu()
    for settings in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        train(load_config(None, settings))
    # as the command line leaves
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
