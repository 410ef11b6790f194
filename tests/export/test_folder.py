"""The folder: whole or not there, compared with its source, in shards, and where it goes."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import tuneglm
from tests.conftest import Configure
from tests.export.test_merging import OPTIONS, adapter
from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER
from tuneglm.export import Export, check, export
from tuneglm.lock import locked
from tuneglm.models import shards
from tuneglm.models.shards import Entry


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, words)])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out + printed.err


@pytest.fixture(scope="module")
def runs(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds one run, as the demo leaves it."""
    folder = tmp_path_factory.mktemp("demo_output")
    tuneglm.train(configure(folder / "mine", "method=lora", "training.learning_rate=0.01"))
    return folder


def test_one_word_is_enough(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, runs)
    whole = runs / "mine-whole"
    assert (code, f"Saved  {whole}" in said) == (0, True)
    assert "the same token ids" in said and "the same next token for 6 of 6 prompts" in said
    assert run(capsys, runs)[0] == 2
    assert sorted(path.name for path in runs.iterdir()) == ["mine", "mine-whole"]


def test_plain_transformers_loads_it(runs: Path, tmp_path: Path) -> None:
    """In shards, without remote code; a conversation is answered as by the source."""
    wanted = Export(
        str(runs / "mine"), tmp_path / "out", layout="native", dtype="float32", shard_size=4 << 20
    )
    folder = export(wanted).folder
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 4
    assert all((folder / name).stat().st_size < (4 << 20) + 10_000 for name in files)
    total = sum(each.nbytes for name in files for each in load_file(folder / name).values())
    assert index["metadata"]["total_size"] == total
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": "你是谁？"}]
    ids = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    ours = tuneglm.ChatModel(runs / "mine", device="cpu", dtype="float32")
    assert ids[0].tolist() == ours.prompt(messages)
    expected = ours.model(ids).logits
    torch.testing.assert_close(model(ids).logits, expected, atol=1e-4, rtol=0)
    greedy = tuneglm.ChatConfig(temperature=0, max_new_tokens=12)
    written = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    answer = tokenizer.decode(written, skip_special_tokens=True).strip()
    assert answer == ours.reply(messages, greedy).strip()


def test_safetensors_reads_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every type and form, in whatever order they come."""
    tensors = {
        "odd": torch.arange(5, dtype=torch.int8),
        "wide": torch.randn(3, 5),
        "half": torch.randn(7, 3).half(),
        "brain": torch.randn(2, 2).bfloat16(),
        "none": torch.zeros(0, 4),
        "point": torch.tensor(1.5),
        "turned": torch.randn(4, 6).T,
    }
    monkeypatch.setattr(shards, "BLOCK", 16)
    entries = [Entry(name, each.shape, each.dtype, _parts(each)) for name, each in tensors.items()]
    shards.write_shards(entries, tmp_path, 10**6)
    read = load_file(tmp_path / "model.safetensors")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], each) for name, each in tensors.items())


def _parts(tensor: torch.Tensor) -> list[tuple[int, shards.Rows]]:
    """In two where it has rows enough."""
    if not tensor.ndim:
        return [(1, lambda rows: tensor)]
    half = len(tensor) // 2
    return [
        (half, lambda rows: tensor[:half][rows]),
        (len(tensor) - half, lambda rows: tensor[half:][rows]),
    ]


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "Stopped. Nothing is kept of `"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 2, "There is no space left for `"),
    ],
)
def test_what_breaks_off_leaves_nothing(
    error: BaseException,
    code: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = []

    def write(file: Any, entry: Entry) -> None:
        written.append(entry.name)
        if len(written) == 20:
            raise error

    monkeypatch.setattr(shards, "_write_tensor", write)
    status, said = run(capsys, MODEL_FOLDER, tmp_path / "out")
    assert (status, sentence in said) == (code, True)
    assert list(tmp_path.iterdir()) == []


def test_two_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out.unfinished").mkdir()
    with locked(tmp_path / "out.unfinished"):
        code, said = run(capsys, MODEL_FOLDER, tmp_path / "out")
    assert (code, "Another process is at work in" in said) == (2, True)


def test_what_a_killed_one_left_is_no_hindrance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / "out.unfinished"
    (left / "folder").mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half of it")
    assert run(capsys, MODEL_FOLDER, tmp_path / "out", "--no-check")[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out" / "folder").exists()


@pytest.mark.parametrize("layout", ["native", "published"])
@pytest.mark.parametrize("bits", [None, 8])
def test_a_weight_that_went_astray_is_found(
    layout: str,
    bits: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One matrix of which two rows are exchanged."""
    write = shards._write_tensor

    def exchanged(file: Any, entry: Entry) -> None:
        ends = ("layers.3.mlp.dense_4h_to_h.weight", "layers.3.mlp.down_proj.weight")
        if entry.name.endswith(ends):
            ((count, make),) = entry.parts
            parts = [(count, lambda rows: make(rows)[[1, 0, *range(2, count)]])]
            entry = Entry(entry.name, entry.shape, entry.dtype, parts)
        write(file, entry)

    monkeypatch.setattr(shards, "_write_tensor", exchanged)
    words = [MODEL_FOLDER, tmp_path / "out", "--layout", layout]
    words += [] if bits is None else ["--bits", bits]
    code, said = run(capsys, *words)
    assert code == 2
    assert "What was written is not what it was made of: its logits differ by" in said
    assert [path.name for path in tmp_path.iterdir()] == ["out.different"]
    assert run(capsys, *words, "--no-check")[0] == 0


def test_another_tokenizer_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = check.load_tokenizer

    def other(path: Any, **options: Any) -> Any:
        tokenizer = load(path, **options)
        if "unfinished" in str(path):
            tokenizer.add_tokens(["你好"])
        return tokenizer

    monkeypatch.setattr(check, "load_tokenizer", other)
    with pytest.raises(tuneglm.errors.OutputError, match="its tokenizer gives other ids"):
        export(Export(str(MODEL_FOLDER), tmp_path / "out"))


def test_without_memory_it_is_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "device_memory", lambda device: 10**6)
    code, said = run(capsys, MODEL_FOLDER, tmp_path / "out")
    assert (code, "Checked  not loaded again: 0.02 GiB are needed" in said) == (0, True)


def test_an_adapter_of_another_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = adapter(tmp_path / "adapter", OPTIONS["plain"])
    weights = load_file(folder / "adapter_model.safetensors")
    first = next(iter(weights))
    save_file(
        {**weights, first: weights[first][:, 1:].contiguous()}, folder / "adapter_model.safetensors"
    )
    code, said = run(capsys, folder, tmp_path / "out")
    assert (code, "the adapter was trained on another model" in said) == (2, True)
    assert not (tmp_path / "out").exists()
