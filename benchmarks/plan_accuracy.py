"""What `tuneglm plan` says of memory, against the measured peak of the same run, side by side.

    python benchmarks/plan_accuracy.py [--only lora] [--threads 1] [--published]

Each configuration trains a few steps of a model of random weights in a fresh process,
whose highest resident memory is the measured peak. Both columns also stand less the
process itself, which at these sizes is a third of the whole: measured on a tiny model,
and foreseen as the plan's part `process`. Linux only.

`--published` instead prints the plan for cards beside figures that others published.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB, GIB = 2**20, 2**30
VOCABULARY = 65024
STEPS = 4
CHECKPOINTED = "training.gradient_checkpointing=true"
# with 8 bits torch's newer way keeps the input of each linear layer all the same
REENTRANT = "training.gradient_checkpointing_kwargs={use_reentrant: true}"
PACKED = "data.batching=packed"
WHOLE = ("model.dtype=float32", "training.bf16=false")


@dataclass(frozen=True)
class Run:
    """A model's family, hidden size and layers, and the settings of a run on it."""

    family: str
    hidden: int
    layers: int
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        """As the table shows it."""
        words = [word.rpartition(".")[2] for word in self.settings]
        return f"{self.family} {self.hidden} × {self.layers} · {' '.join(words)}"


RUNS = (
    Run("chatglm3", 512, 8, ("method=lora",)),
    Run("chatglm3", 512, 8, ("method=lora", *WHOLE)),
    Run("chatglm3", 512, 16, ("method=lora", CHECKPOINTED)),
    Run("chatglm3", 512, 16, ("method=lora", PACKED, "data.tokens_per_batch=1024")),
    Run("chatglm3", 512, 8, ("method=full",)),
    Run("chatglm3", 512, 8, ("method=full", CHECKPOINTED, *WHOLE)),
    Run("chatglm3", 512, 8, ("method=freeze", PACKED)),
    Run("chatglm3", 512, 8, ("method=freeze", "method.modules=all", *WHOLE)),
    Run("chatglm3", 1024, 8, ("method=p_tuning",)),
    Run("chatglm3", 1024, 8, ("method=p_tuning", CHECKPOINTED, "method.projection=true")),
    Run("chatglm3", 1024, 8, ("method=lora", "model.bits=8")),
    Run("chatglm3", 1024, 8, ("method=lora", "model.bits=4")),
    Run("chatglm3", 1024, 8, ("method=lora", "model.bits=4", CHECKPOINTED, PACKED)),
    Run("chatglm3", 1024, 8, ("method=prompt", "model.bits=4")),
    Run("chatglm", 512, 8, ("method=lora", *WHOLE)),
    Run("chatglm", 512, 8, ("method=p_tuning", PACKED)),
    Run("chatglm", 512, 8, ("method=full", CHECKPOINTED)),
    Run("chatglm", 1024, 8, ("method=freeze", "model.bits=8", CHECKPOINTED)),
)


@dataclass(frozen=True)
class Published:
    """A figure of others: what was run, and the GB that they state."""

    source: str
    model: str
    settings: tuple[str, ...]
    gigabytes: str


CET = "ChatGLM-Efficient-Tuning, V100"
SIX = "chatglm-6b"
PUBLISHED = (
    Published(CET, SIX, ("method=lora", CHECKPOINTED, "batch=16", "fp16"), "28"),
    Published(CET, SIX, ("method=lora", CHECKPOINTED, "batch=8", "fp16"), "24"),
    Published(CET, SIX, ("method=lora", CHECKPOINTED, "batch=4", "fp16"), "20"),
    Published(CET, SIX, ("method=lora", REENTRANT, "batch=4", "model.bits=8"), "10"),
    Published(CET, SIX, ("method=lora", CHECKPOINTED, "batch=4", "model.bits=4"), "8"),
    Published(
        CET, SIX, ("method=p_tuning", CHECKPOINTED, "method.length=16", "batch=4", "fp16"), "20"
    ),
    Published(
        CET,
        SIX,
        ("method=p_tuning", CHECKPOINTED, "method.length=16", "batch=4", "model.bits=8"),
        "16",
    ),
    Published(
        CET,
        SIX,
        ("method=p_tuning", CHECKPOINTED, "method.length=16", "batch=4", "model.bits=4"),
        "12",
    ),
    Published(CET, SIX, ("method=freeze", CHECKPOINTED, "batch=4", "fp16"), "24"),
    Published(
        "ChatGLM-6B ptuning, 64 + 64 tokens",
        SIX,
        ("method=p_tuning", "batch=1", "model.bits=4", "data.cutoff=128"),
        "6.7",
    ),
    Published("ChatGLM3 demo", "chatglm3-6b", ("method=p_tuning", "batch=1"), "18.4"),
    Published("ChatGLM3 demo", "chatglm3-6b", ("method=lora", "batch=1"), "14.1"),
    Published("GLM-4 demo", "glm-4-9b", ("method=lora", "batch=1"), "22"),
)
# what the published config.json files say
CONFIGS: dict[str, dict[str, Any]] = {
    "chatglm-6b": {
        "model_type": "chatglm",
        "vocab_size": 130528,
        "hidden_size": 4096,
        "num_layers": 28,
        "num_attention_heads": 32,
        "inner_hidden_size": 16384,
        "layernorm_epsilon": 1e-5,
        "max_sequence_length": 2048,
        "position_encoding_2d": True,
        "bos_token_id": 130004,
        "eos_token_id": 130005,
        "mask_token_id": 130000,
        "gmask_token_id": 130001,
        "pad_token_id": 3,
    },
    "chatglm3-6b": {
        "model_type": "chatglm",
        "padded_vocab_size": 65024,
        "hidden_size": 4096,
        "ffn_hidden_size": 13696,
        "num_layers": 28,
        "num_attention_heads": 32,
        "kv_channels": 128,
        "multi_query_attention": True,
        "multi_query_group_num": 2,
        "add_qkv_bias": True,
        "layernorm_epsilon": 1e-5,
        "seq_length": 8192,
    },
}
CONFIGS["glm-4-9b"] = CONFIGS["chatglm3-6b"] | {
    "padded_vocab_size": 151552,
    "num_layers": 40,
    "rope_ratio": 50,
    "seq_length": 8192,
    "layernorm_epsilon": 1.5625e-07,
}
FAMILIES = {"chatglm-6b": "chatglm", "chatglm3-6b": "chatglm3", "glm-4-9b": "glm4"}


def build(folder: Path, run: Run, vocabulary: int = VOCABULARY) -> None:
    """A model of random weights in float16, with a demo model's tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM

    from tuneglm.demo import model_folder
    from tuneglm.models import family_named
    from tuneglm.models.published import save_published

    source: Path = model_folder(run.family)
    layout: Any = family_named(run.family).layout
    published = json.loads((source / "config.json").read_text(encoding="utf-8"))
    sizes = {
        "padded_vocab_size": vocabulary,
        "vocab_size": vocabulary,
        "hidden_size": run.hidden,
        "num_layers": run.layers,
        "num_attention_heads": run.hidden // 64,
        "inner_hidden_size": 4 * run.hidden,
        "ffn_hidden_size": 3 * run.hidden,
        "kv_channels": 64,
        "seq_length": 2048,
        "max_sequence_length": 2048,
    }
    published |= {key: value for key, value in sizes.items() if key in published}
    torch.manual_seed(0)
    config = layout.to_native_config(published)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float16)
    save_published(model, layout, folder)
    for file in source.iterdir():
        if file.suffix != ".safetensors" and file.name != "config.json":
            shutil.copy(file, folder / file.name)


def write_rows(file: Path) -> None:
    """Rows of 30 to 600 characters, of which the longest are cut."""
    draw = random.Random(0)
    rows = [
        {
            "instruction": "请写一段话。" * draw.randint(4, 50),
            "output": "天气" * draw.randint(8, 150),
        }
        for _ in range(48)
    ]
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def in_a_process(arguments: list[str], threads: int) -> str:
    """The last line that a fresh Python prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout


def train_and_measure(settings: list[str]) -> None:
    """Train in this process, and print its highest resident memory and the time of a step."""
    from tuneglm import load_config, train

    result = train(load_config(None, settings))
    times = [json.loads(line) for line in (result.folder / "log.jsonl").read_text().splitlines()]
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    seconds = next((entry["train_runtime"] for entry in times if "train_runtime" in entry), 0.0)
    print(json.dumps({"peak": peak, "seconds": seconds / STEPS}))


def print_plan(settings: list[str]) -> None:
    """What `tuneglm plan --json` prints, without the table of choices, which takes its time."""
    from tuneglm import load_config
    from tuneglm.plan.planning import plan
    from tuneglm.reports.plan import plan_json

    print(plan_json(plan(load_config(None, settings), choices=False)))


def measured(folder: Path, run: Run, rows: Path, threads: int) -> dict[str, Any]:
    """The run's highest memory, and what was planned for it."""
    settings = [
        f"model.path={folder}",
        f"data.train={rows}",
        "data.cutoff=256",
        "training.per_device_train_batch_size=" + ("1" if PACKED in run.settings else "3"),
        *run.settings,
    ]
    with tempfile.TemporaryDirectory() as output:
        planned = json.loads(in_a_process([__file__, "--plan", *settings], threads))
        training = [
            f"training.max_steps={STEPS}",
            "training.save_strategy=no",
            f"training.output_dir={output}/out",
        ]
        printed = in_a_process([__file__, "--train", *settings, *training], threads)
    return {"planned": planned, **json.loads(printed.splitlines()[-1])}


def accuracy(only: str, threads: int) -> None:
    """The table of both columns."""
    tiny: dict[tuple[str, ...], int] = {}
    print(f"{'':64} {'foreseen':>9} {'measured':>9} {'':>7}   less the process")
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder, rows = Path(name), Path(name) / "rows.json"
        write_rows(rows)
        for run in RUNS:
            if only and only not in run.name:
                continue
            process = _process(folder, run, rows, threads, tiny)
            model = folder / "model"
            build(model, run)
            found = measured(model, run, rows, threads)
            shutil.rmtree(model)
            worst = max(worst, abs(show(run.name, found, process)))
    print(f"farthest off: {100 * worst:.1f}%")


def show(name: str, found: dict[str, Any], process: int) -> float:
    """Print a row of the table; how far off the plan is."""
    planned, measured = found["planned"], found["peak"]
    own, true = planned["peak"] - planned["parts"]["process"], measured - process
    whole = planned["peak"] / measured - 1
    print(
        f"{name:64} {planned['peak'] / MIB:9.0f} {measured / MIB:9.0f} {100 * whole:+6.1f}%   "
        f"{own / MIB:7.0f} {true / MIB:7.0f} {100 * (own / true - 1):+6.1f}%   "
        f"a step {planned['seconds_per_step']:.2f} {found['seconds']:.2f} s",
        flush=True,
    )
    return float(whole)


def _process(
    folder: Path, run: Run, rows: Path, threads: int, known: dict[tuple[str, ...], int]
) -> int:
    """What the process itself takes: the same run on a tiny model, less what was planned for it."""
    kind = tuple(word for word in run.settings if word.startswith(("model.", "training.bf16")))
    if kind not in known:
        small = Run("chatglm3", 128, 2, ("method=lora", *kind))
        build(folder / "tiny", small, vocabulary=8192)
        found = measured(folder / "tiny", small, rows, threads)
        planned = found["planned"]
        known[kind] = found["peak"] - (planned["peak"] - planned["parts"]["process"])
        shutil.rmtree(folder / "tiny")
    return known[kind]


def published() -> None:
    """Plans for cards, and what others measured on them."""
    from tuneglm.config import load_config
    from tuneglm.plan.planning import plan

    print("rows of 512 tokens, all trained, where nothing else is said; GiB foreseen, GB published")
    with tempfile.TemporaryDirectory() as name:
        for figure in PUBLISHED:
            folder = Path(name) / figure.model
            folder.mkdir(exist_ok=True)
            text = json.dumps(CONFIGS[figure.model])
            (folder / "config.json").write_text(text, encoding="utf-8")
            settings = [f"model.path={folder}", f"model.family={FAMILIES[figure.model]}"]
            settings += ["data.cutoff=512"]
            for word in figure.settings:
                key, _, value = word.partition("=")
                half = ["model.dtype=float16", "training.bf16=true"]
                batch = [f"training.per_device_train_batch_size={value}"]
                older = [CHECKPOINTED, REENTRANT] if word == REENTRANT else [word]
                settings += {"fp16": half, "batch": batch}.get(key, older)
            planned = plan(load_config(None, settings), device="cuda", choices=False)
            words = " ".join(word.removeprefix("training.") for word in figure.settings)
            print(
                f"{figure.source:36} {figure.model:12} {words:56} "
                f"{planned.memory.peak / GIB:6.1f} {figure.gigabytes:>6}"
            )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="configurations whose name holds this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--published", action="store_true", help="plans beside published figures")
    parser.add_argument("--train", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--plan", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        train_and_measure(given.train)
    elif given.plan:
        print_plan(given.plan)
    elif given.published:
        published()
    else:
        accuracy(given.only, given.threads)


if __name__ == "__main__":
    main()
