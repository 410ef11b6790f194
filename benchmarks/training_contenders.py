"""Who trains against tuneglm: plain transformers with peft, one small function a setting.

Each function is called in a process of its own with the address where turns are given (see
training_turns.py) and what to train, and reads the same encoded rows. Nobody's speed is held
back: each is what its documentation says to write, on the processor.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_turns import take_turns

BATCH = 4
LAST_LAYERS = 3
PREFIX = 128
STEPS = 100_000  # more than anybody waits for: a contender is stopped


@dataclass(frozen=True)
class Job:
    """What is trained.

    model, data, examples  see training_shapes.Material
    method    lora, freeze, p_tuning, full
    bits      4, or None for whole weights
    dtype     float32 or bfloat16
    settings  KEY=VALUE for tuneglm alone
    """

    model: str
    data: str
    examples: str
    method: str = "lora"
    bits: int | None = None
    dtype: str = "float32"
    threads: int = 1
    settings: tuple[str, ...] = ()


def ours(address: str, job: Job) -> None:
    """`tuneglm train` with its defaults, in the type and with the rows a step that others have."""
    take_turns(address)
    from tuneglm.config import load_config
    from tuneglm.training import train

    settings = [
        f"model.path={job.model}",
        f"data.train={job.data}",
        f"method={job.method}",
        f"model.dtype={job.dtype}",
        f"training.bf16={str(job.dtype == 'bfloat16').lower()}",
        f"training.max_steps={STEPS}",
        "training.save_strategy=no",
        f"training.per_device_train_batch_size={BATCH}",
        *([] if job.bits is None else [f"model.bits={job.bits}"]),
        *job.settings,
    ]
    with tempfile.TemporaryDirectory() as output:
        train(load_config(None, [*settings, f"training.output_dir={output}/run"]))


def padded(address: str, job: Job) -> None:
    """The Trainer's default: four rows in any order, padded to the longest."""
    _train(address, tuned(job), job, pad, per_device_train_batch_size=BATCH)


def by_length(address: str, job: Job) -> None:
    """Rows of like length together."""
    _train(
        address,
        tuned(job),
        job,
        pad,
        per_device_train_batch_size=BATCH,
        train_sampling_strategy="group_by_length",
    )


def flattened(address: str, job: Job) -> None:
    """transformers' collator without padding: rows one after another, told apart by position."""
    from transformers import DataCollatorWithFlattening

    collate = DataCollatorWithFlattening()
    _train(address, tuned(job), job, collate, per_device_train_batch_size=BATCH)


def one_row(address: str, job: Job) -> None:
    """One row at a time, four of them accumulated: no padding either."""
    _train(
        address,
        tuned(job),
        job,
        pad,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=BATCH,
    )


def published(address: str, job: Job) -> None:
    """The published algorithm of ChatGLM-6B: padded rows, a full mask, logits everywhere."""
    from tuneglm.models.loading import load_model

    model = load_model(job.model, dtype=job.dtype, attention="eager")
    _masked_in_full(model)
    adapted = adapt(model, job, ["query_key_value"])
    _train(address, adapted, job, pad, per_device_train_batch_size=BATCH)


CONTENDERS: dict[str, Callable[[str, Job], None]] = {
    "ours": ours,
    "padded": padded,
    "by length": by_length,
    "flattened": flattened,
    "one row × 4": one_row,
    "published": published,
}


def contend(address: str, name: str, job: Job) -> None:
    """Be one contender, until the other side has enough."""
    import torch

    torch.set_num_threads(job.threads)
    CONTENDERS[name](address, job)


def tuned(job: Job) -> Any:
    """A native model with what is to be trained, as transformers and peft make it."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = getattr(torch, job.dtype)
    packing = {}
    if job.bits == 4:
        packing["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model = AutoModelForCausalLM.from_pretrained(job.model, dtype=dtype, **packing)
    return adapt(model, job, ["q_proj", "k_proj", "v_proj"])


def adapt(model: Any, job: Job, targets: Sequence[str]) -> Any:
    """The parts that the method trains."""
    import peft

    if job.method == "full":
        return model
    if job.method == "freeze":
        model.requires_grad_(False)
        for layer in model.model.layers[-LAST_LAYERS:]:
            layer.mlp.requires_grad_(True)
        return model
    if job.bits is not None:
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if job.method == "p_tuning":
        prefix = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=PREFIX)
        return peft.get_peft_model(model, prefix)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=list(targets))
    return peft.get_peft_model(model, lora)


def pad(rows: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    """Rows padded to the longest, on the right."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)

    def filled(key: str, value: int) -> Any:
        return torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in rows])

    mask = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
    return {
        "input_ids": filled("input_ids", 0),
        "labels": filled("labels", -100),
        "attention_mask": torch.tensor(mask),
    }


def _masked_in_full(model: Any) -> None:
    """Hand the network a mask of all pairs of places, in which the context sees itself."""
    import torch

    from tuneglm.models.chatglm.modeling_chatglm import answer_starts, position_pairs

    def fill(_: Any, arguments: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        ids, real = named["input_ids"], named["attention_mask"]
        places = position_pairs(real, answer_starts(model.config, ids, real))
        # a token of the context has no second position
        context = (places[:, 1] == 0) & (real > 0)
        seen = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        seen = seen | (context[:, :, None] & context[:, None, :])
        mask = torch.zeros(seen.shape).masked_fill_(~seen, torch.finfo(torch.float32).min)
        return arguments, {**named, "attention_mask": mask[:, None], "position_ids": places}

    model.register_forward_pre_hook(fill, with_kwargs=True)


def _train(address: str, model: Any, job: Job, collate: Any, **options: Any) -> None:
    """The Trainer on the encoded rows, in their order."""
    from transformers import Trainer, TrainingArguments

    take_turns(address)
    settings: dict[str, Any] = {"train_sampling_strategy": "sequential", **options}
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output,
            use_cpu=True,
            max_steps=STEPS,
            learning_rate=2e-4,
            bf16=job.dtype == "bfloat16",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            include_num_input_tokens_seen="non_padding",
            **settings,
        )
        rows = json.loads(Path(job.examples).read_text())
        Trainer(model, arguments, train_dataset=rows, data_collator=collate).train()
