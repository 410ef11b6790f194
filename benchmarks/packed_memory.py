"""Memory of an int4 packed ChatGLM-6B against the same model in 16 and 32 bits, in the same run.

    python benchmarks/packed_memory.py [--hidden 1024] [--layers 8] [--vocabulary 8192]

Each figure is the largest resident memory of a process of its own, less what the
process held before it loaded the model. The vocabulary is small, for its
embeddings stay in 16 bits in every form and would hide what the layers take.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MIB = 2**20
LENGTH, ROWS = 64, 1


def build(folder: Path, hidden: int, layers: int, vocabulary: int) -> None:
    """A model of random weights as published, in 16 bits in `folder` and packed beside it."""
    from tuneglm.models import family_named
    from tuneglm.models.chatglm.configuration_chatglm import ChatGLMConfig
    from tuneglm.models.chatglm.modeling_chatglm import ChatGLMForConditionalGeneration
    from tuneglm.models.packed import pack_linears
    from tuneglm.models.published import save_published

    layout: Any = family_named("chatglm").layout
    config = ChatGLMConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_layers=layers,
        num_attention_heads=hidden // 64,
        inner_hidden_size=4 * hidden,
        bos_token_id=vocabulary - 4,
        eos_token_id=vocabulary - 3,
        mask_token_id=vocabulary - 8,
        gmask_token_id=vocabulary - 7,
    )
    model = ChatGLMForConditionalGeneration(config).half()
    save_published(model, layout, folder)
    pack_linears(model, 4)
    save_published(model, layout, folder.with_name(f"{folder.name}_int4"))


def measure(folder: Path, step: bool) -> None:
    """Print the memory that loading takes, with one step of LoRA if asked."""
    # the libraries load much of themselves at first use
    use(folder.parent / "small", step=True)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = memory("VmRSS")
    model = use(folder, step)
    print(json.dumps(memory("VmHWM") - before))
    del model


def use(folder: Path, step: bool) -> Any:
    """Load a model, and tune it for one step if asked."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tuneglm import load_model

    model: Any = load_model(folder, dtype="float32", device="cpu")
    if step:
        config = model.config
        model = get_peft_model(model, LoraConfig(target_modules=["query_key_value"], r=8))
        ids = torch.randint(5, 40, (ROWS, LENGTH))
        ids[:, LENGTH // 2] = config.gmask_token_id
        ids[:, LENGTH // 2 + 1] = config.bos_token_id
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained)
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    return model


def memory(name: str) -> int:
    """A figure of /proc/self/status in bytes: VmRSS is now in memory, VmHWM was at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise SystemExit("needs Linux's /proc")


def in_a_process(folder: Path, step: bool) -> int:
    """`measure` in a fresh process."""
    command = [sys.executable, __file__, "--measure", str(folder), *(["--step"] if step else [])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(json.loads(output.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure, given.step)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder / "small", 64, 1, 64)
        build(folder / "model", given.hidden, given.layers, given.vocabulary)
        size = (folder / "model_int4" / "model.safetensors").stat().st_size
        loaded = in_a_process(folder / "model_int4", step=False)
        packed = in_a_process(folder / "model_int4", step=True)
        whole = in_a_process(folder / "model", step=True)
    print(f"hidden {given.hidden} × {given.layers} layers, vocabulary {given.vocabulary}")
    print(
        f"loading int4   {loaded / MIB:6.0f} MiB · its file {size / MIB:.0f} MiB · "
        f"{loaded / size:.2f} ×"
    )
    print(
        f"a LoRA step    {packed / MIB:6.0f} MiB on int4 · {whole / MIB:.0f} MiB on the 16-bit "
        f"weights in float32 · {packed / whole:.2f} ×"
    )


if __name__ == "__main__":
    main()
