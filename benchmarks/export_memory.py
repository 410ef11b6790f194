"""Memory of an export that merges LoRA, and of its comparison: by parts against as a whole.

    python benchmarks/export_memory.py [--hidden 2048] [--layers 10] [--vocabulary 32768]

The model is made up: random weights in ChatGLM3's proportions, in shards, bfloat16. Each
figure is the largest resident memory of a process of its own, less what it held with all
libraries imported. The baseline is what peft and transformers do: load, merge, save; ours
does the same where an adapter's update is one that peft alone knows. The comparison
computes logits of source, rounded source and result in float32.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 2**20
SHARD = 256 * MIB
WAYS = ("some rows at a time", "as a whole")
COMPARED = ("compared one weight at a time", "compared as a whole")
PROMPTS = [list(range(5, 5 + length)) for length in (6, 12, 20)]


def build(folder: Path, hidden: int, layers: int, vocabulary: int) -> None:
    """The model, and an adapter on all of its linear layers beside it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import GlmConfig, GlmForCausalLM

    torch.manual_seed(0)
    config = GlmConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        intermediate_size=hidden * 27 // 8,
        num_attention_heads=hidden // 128,
        num_key_value_heads=2,
        head_dim=128,
        attention_bias=True,
        pad_token_id=0,
        eos_token_id=2,
    )
    model = GlmForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder / "base", max_shard_size=SHARD)
    model.name_or_path = str(folder / "base")
    tuned = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear"))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    tuned.save_pretrained(folder / "adapter", save_embedding_layers=False)


def measure(folder: Path, way: str) -> None:
    """Print what one way takes: bytes at most, and seconds."""
    import torch

    from tuneglm.export import at_once, by_turns
    from tuneglm.export.source import source_of
    from tuneglm.export.streamed import write_streamed
    from tuneglm.export.wanted import Export
    from tuneglm.export.whole import write_whole
    from tuneglm.plan.capacity import forget_peak, peak_memory, resident

    cpu = torch.device("cpu")
    compares = way in COMPARED
    output = folder / (WAYS[0] if compares else way).replace(" ", "-")
    output.mkdir(exist_ok=compares)
    wanted = Export(
        str(folder / "adapter"), output, layout="native", family="native", shard_size=SHARD
    )
    source = source_of(wanted)
    before = resident()
    forget_peak(cpu)
    begun = time.perf_counter()
    if compares:
        computed = by_turns.computed if way == COMPARED[0] else at_once.computed
        _, expected, got = computed(source, wanted, output, PROMPTS)
        assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(expected, got, strict=True))
    else:
        (write_streamed if way == WAYS[0] else write_whole)(source, wanted, output)
    seconds = time.perf_counter() - begun
    print(json.dumps([(peak_memory(cpu) or 0) - before, seconds]))


def equal(folder: Path) -> float:
    """The largest difference between the weights that the two ways wrote."""
    from tuneglm.models.weights import read_tensors, weight_files

    first, second = (
        {
            name: (file, each)
            for file in weight_files(folder / way.replace(" ", "-"))
            for name, each in read_tensors(file)
        }
        for way in WAYS
    )
    assert first.keys() == second.keys()
    return max(float((first[n][1].float() - second[n][1].float()).abs().max()) for n in first)


def main() -> None:
    """Build, measure each way in a process of its own, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--vocabulary", type=int, default=32768)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "WAY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(Path(given.measure[0]), given.measure[1])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder, given.hidden, given.layers, given.vocabulary)
        files = [*(folder / "base").glob("*.safetensors")]
        size = sum(file.stat().st_size for file in files)
        largest = max(file.stat().st_size for file in files)
        adapter = (folder / "adapter" / "adapter_model.safetensors").stat().st_size
        print(
            f"model {size / MIB:,.0f} MiB in {len(files)} shards of at most {largest / MIB:,.0f}, "
            f"adapter {adapter / MIB:,.0f} MiB"
        )
        for way in (*WAYS, *COMPARED):
            command = [sys.executable, __file__, "--measure", name, way]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peak, seconds = json.loads(done.stdout.splitlines()[-1])
            print(f"{way:30} {peak / MIB:8,.0f} MiB  {seconds:6.1f} s")
        print(f"largest difference of a weight: {equal(folder):.2g}")


if __name__ == "__main__":
    main()
