"""Tools that tune models, each in an environment of its own under benchmarks/.peers.

    python benchmarks/training_speed.py --install-peers     installs them, then measures with them

Whatever is installed there takes part from then on. Called with a setting's name, the address
where turns are given and a job in JSON, this file is that contender; it then runs in the peer's
environment, where of this project only the files beside it are known.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from training_contenders import BATCH, STEPS, Job
from training_turns import take_turns

ENVIRONMENTS = Path(__file__).parent / ".peers"
LONGEST = 1024
PROJECTIONS = ["q_proj", "k_proj", "v_proj"]


@dataclass(frozen=True)
class Peer:
    """A tool: what pip installs, and its settings that take part."""

    packages: tuple[str, ...]
    settings: dict[str, Callable[[str, Job], None]]

    def python(self, name: str) -> Path:
        """The interpreter of its environment."""
        return ENVIRONMENTS / name / "bin" / "python"


def trl(address: str, job: Job, **options: Any) -> None:
    """TRL's SFTTrainer, whose default recomputes activations in the backward pass."""
    import peft
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    take_turns(address)
    rows = json.loads(Path(job.examples).read_text())
    model = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32)
    lora = peft.LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=list(PROJECTIONS)
    )
    settings = {"per_device_train_batch_size": BATCH, "max_length": LONGEST, **options}
    with tempfile.TemporaryDirectory() as output:
        arguments = SFTConfig(
            output,
            use_cpu=True,
            bf16=False,
            max_steps=STEPS,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            train_sampling_strategy="sequential",
            include_num_input_tokens_seen="non_padding",
            **settings,
        )
        SFTTrainer(
            model,
            arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=_tokenizer(),
            peft_config=lora,
        ).train()


def llama_factory(address: str, job: Job, packs: bool = False, **options: Any) -> None:
    """LLaMA-Factory's run, on rows that were tokenised before.

    packs  as its `packing` does: rows one after another in sequences of LONGEST, which see each
           other there; it packs while it tokenises, so here that is done with its own knapsacks
    """
    # it refuses releases of libraries that it was not tried with
    os.environ["DISABLE_VERSION_CHECK"] = "1"
    import transformers  # noqa: F401 (before the next line, which it would trip over)

    # it imports this for recordings, whose builds lag behind torch's; here is text alone
    sys.modules["torchaudio"] = ModuleType("torchaudio")
    from datasets import Dataset, DatasetDict
    from llamafactory.train.tuner import run_exp

    take_turns(address)
    rows = json.loads(Path(job.examples).read_text())
    rows = _packed(rows) if packs else rows
    rows = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in rows]
    settings: dict[str, Any] = {"per_device_train_batch_size": BATCH, **options}
    with tempfile.TemporaryDirectory() as folder:
        model = _with_plain_tokenizer(job, Path(folder) / "model")
        tokenised = Path(folder) / "rows"
        DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(str(tokenised))
        run_exp(
            {
                "stage": "sft",
                "do_train": True,
                "model_name_or_path": str(model),
                # a name has to be there, and is not looked at beside the next line
                "dataset": "rows",
                "tokenized_path": str(tokenised),
                "template": "empty",
                "finetuning_type": "lora",
                "lora_rank": 8,
                "lora_alpha": 16,
                "lora_target": ",".join(PROJECTIONS),
                "cutoff_len": LONGEST,
                "output_dir": str(Path(folder) / "output"),
                "use_cpu": True,
                "max_steps": STEPS,
                "save_strategy": "no",
                "report_to": "none",
                "include_num_input_tokens_seen": "non_padding",
                **settings,
            }
        )


def _packed(rows: list[dict[str, list[int]]]) -> list[dict[str, list[int]]]:
    """Rows in sequences of up to LONGEST, as LLaMA-Factory puts them together."""
    from llamafactory.data.processor.processor_utils import greedy_knapsack

    of_length: dict[int, list[dict[str, list[int]]]] = {}
    for row in (each for each in rows if len(each["input_ids"]) <= LONGEST):
        of_length.setdefault(len(row["input_ids"]), []).append(row)
    lengths = [length for length, same in of_length.items() for _ in same]
    packs = [[of_length[each].pop() for each in pack] for pack in greedy_knapsack(lengths, LONGEST)]
    keys = ("input_ids", "labels")
    return [{key: [id_ for row in pack for id_ in row[key]] for key in keys} for pack in packs]


def ms_swift(address: str, job: Job, **options: Any) -> None:
    """ms-swift's run, on rows that were tokenised before; its default recomputes activations."""
    from swift.arguments import SftArguments
    from swift.pipelines.train.sft import SwiftSft

    take_turns(address)
    rows = json.loads(Path(job.examples).read_text())
    rows = [{**row, "length": len(row["input_ids"])} for row in rows]

    class OfIds(SwiftSft):
        """The pipeline with rows in place of its files of texts."""

        def _prepare_dataset(self) -> list[Any]:
            return [rows, None]

    settings: dict[str, Any] = {"per_device_train_batch_size": BATCH, **options}
    with tempfile.TemporaryDirectory() as folder:
        arguments = SftArguments(
            model=str(_with_plain_tokenizer(job, Path(folder) / "model")),
            model_type="glm4",
            template="dummy",
            # a name has to be there, and is not looked at
            dataset=["rows"],
            tuner_type="lora",
            lora_rank=8,
            lora_alpha=16,
            lora_dropout=0.0,
            target_modules=list(PROJECTIONS),
            torch_dtype="float32",
            bf16=False,
            fp16=False,
            use_cpu=True,
            output_dir=str(Path(folder) / "output"),
            max_steps=STEPS,
            eval_strategy="no",
            save_strategy="no",
            report_to=["none"],
            include_num_input_tokens_seen="non_padding",
            **settings,
        )
        OfIds(arguments).main()


PEERS = {
    "trl": Peer(
        ("trl", "peft"),
        {
            "TRL": trl,
            "TRL, padding-free": partial(trl, padding_free=True, max_length=None),
            "TRL, packed": partial(trl, packing=True, per_device_train_batch_size=1),
        },
    ),
    "llama_factory": Peer(
        ("llamafactory",),
        {
            "LLaMA-Factory": llama_factory,
            "LLaMA-Factory, packed": partial(
                llama_factory, packs=True, per_device_train_batch_size=1
            ),
            "LLaMA-Factory, one row × 4": partial(
                llama_factory, per_device_train_batch_size=1, gradient_accumulation_steps=BATCH
            ),
        },
    ),
    "ms_swift": Peer(
        ("ms-swift",),
        {
            "ms-swift": ms_swift,
            "ms-swift, one row × 4": partial(
                ms_swift,
                per_device_train_batch_size=1,
                gradient_accumulation_steps=BATCH,
                use_logits_to_keep=True,
                gradient_checkpointing=False,
            ),
        },
    ),
}


def install(name: str) -> None:
    """A peer's environment, with the torch that pip chooses here."""
    peer = PEERS[name]
    if peer.python(name).is_file():
        return
    print(f"installing {', '.join(peer.packages)} into {ENVIRONMENTS / name} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENTS / name)], check=True)
    # our own release of torch, so that nobody's is newer
    torch = f"torch=={importlib.metadata.version('torch').partition('+')[0]}"
    install = [str(peer.python(name)), "-m", "pip", "install", "--quiet", torch, *peer.packages]
    subprocess.run(install, check=True)
    # for pictures; where its build is not of this torch, transformers imports nothing any more
    remove = [str(peer.python(name)), "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision"]
    subprocess.run(remove, check=True)


def commands(job: Job) -> dict[str, tuple[str, ...]]:
    """Setting → the command line that is this contender, of all peers that are installed."""
    text = json.dumps(asdict(job)).replace("{", "{{").replace("}", "}}")
    return {
        setting: (str(peer.python(name)), __file__, setting, "{address}", text)
        for name, peer in PEERS.items()
        if peer.python(name).is_file()
        for setting in peer.settings
    }


def _tokenizer() -> Any:
    """The rows are ids already: what is asked of a tokenizer is its pad and end token."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2}, unk_token="<unk>")
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(words),
        pad_token="<unk>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
    )


def _with_plain_tokenizer(job: Job, folder: Path) -> Path:
    """The model's own weights, beside a tokenizer that any library loads.

    The config names the job's type: who loads weights in the type that they say they have, as
    LLaMA-Factory does whatever its own options say, would train in another one than all others.
    """
    folder.mkdir()
    for file in Path(job.model).glob("*.safetensors"):
        (folder / file.name).symlink_to(file)
    config = json.loads((Path(job.model) / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "dtype": job.dtype}))
    _tokenizer().save_pretrained(folder)
    return folder


def main() -> None:
    """Be one contender."""
    import torch

    setting, address, text = sys.argv[1:]
    job = Job(**json.loads(text))
    torch.set_num_threads(job.threads)
    known = {name: call for peer in PEERS.values() for name, call in peer.settings.items()}
    known[setting](address, job)


if __name__ == "__main__":
    main()
