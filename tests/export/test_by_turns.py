"""The comparison where the models do not fit into memory: the same, one weight at a time."""

from pathlib import Path
from typing import Any

import pytest
import torch

import tuneglm
from tests.conftest import Configure
from tests.export.test_folder import run
from tests.export.test_merging import GOLDEN, OPTIONS, OTHERS, adapter
from tuneglm.demo import MODEL_FOLDER
from tuneglm.export import Export, at_once, by_turns
from tuneglm.export.adapter_only import write_adapter
from tuneglm.export.source import source_of
from tuneglm.export.streamed import write_streamed
from tuneglm.models import shards
from tuneglm.models.shards import Entry

PROMPTS = [[5, 6, 7, 8], [9, 10, 11, 12, 13, 14, 15], [16, 17]]
# the signs between which the first family's models expect an answer
ENDS = {"chatglm": [501, 504]}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model fits into the memory as a whole."""
    monkeypatch.setattr(at_once, "needed", lambda source: 2**60)


def assert_same_logits(folder: Path, **asked: Any) -> None:
    """Of source, rounded source and result, computed in both ways."""
    wanted = Export(output=folder, **asked)
    source = source_of(wanted)
    folder.mkdir()
    if wanted.adapter_only:
        write_adapter(source, folder)
    else:
        write_streamed(source, wanted, folder)
    prompts = [ids + ENDS.get(source.family.name, []) for ids in PROMPTS]
    turns = by_turns.computed(source, wanted, folder, prompts)
    whole = at_once.computed(source, wanted, folder, prompts)
    for ours, theirs in zip(turns, whole, strict=True):
        for first, second in zip(ours, theirs, strict=True):
            torch.testing.assert_close(first, second, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["patterns", "dora", "head", "tokens"])
def test_an_adapter(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", OPTIONS[name])
    assert_same_logits(tmp_path / "out", path=str(folder), layout="native", dtype="float32")


@pytest.mark.parametrize(("layout", "bits"), [("native", 8), ("published", 4), ("published", None)])
def test_every_width(bits: Any, layout: Any, tmp_path: Path) -> None:
    asked = {"path": str(MODEL_FOLDER), "layout": layout, "bits": bits, "dtype": "float16"}
    assert_same_logits(tmp_path / "out", **asked)


@pytest.mark.parametrize(
    ("family", "base", "beside", "layout"),
    [
        ("chatglm", "v1/base", "v1/lora_adapter", "published"),
        ("chatglm", "v1/int4", None, "published"),
        ("chatglm", "v1/prefix", None, "published"),
        ("chatglm2", "v2/int8", None, "native"),
        ("chatglm3", "v3/prefix_projection", None, "published"),
        ("glm4", "glm4/base", None, "native"),
    ],
)
def test_every_family(
    family: str, base: str, beside: str | None, layout: Any, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"path": str(GOLDEN / base), "family": family, "layout": layout}
    adapters = () if beside is None else (str(GOLDEN / beside),)
    assert_same_logits(tmp_path / "out", adapters=adapters, dtype="float32", **asked)


def test_what_came_before_it(configure: Configure, tmp_path: Path) -> None:
    """Weights of their own on top of LoRA."""
    first = tuneglm.train(configure(tmp_path / "first", "method=lora")).folder
    chain = tuneglm.train(
        configure(tmp_path / "second", "method=freeze", f"model.adapters=[{first}]")
    ).folder
    assert_same_logits(tmp_path / "out", path=str(chain), dtype="float32")


@pytest.mark.parametrize("layout", ["native", "published"])
def test_an_adapter_alone(layout: Any, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", OPTIONS["plain"])
    assert_same_logits(tmp_path / "out", path=str(folder), layout=layout, adapter_only=True)


@pytest.mark.usefixtures("short")
def test_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = adapter(tmp_path / "adapter", OPTIONS["plain"])
    code, said = run(capsys, folder, tmp_path / "out")
    assert (code, "Checked  loaded again, one weight at a time: the same token ids;" in said) == (
        0,
        True,
    )
    assert "for 6 of 6 prompts" in said
    assert "one weight at a time" in (tmp_path / "out" / "README.md").read_text("utf-8")


@pytest.mark.usefixtures("short")
def test_a_weight_that_went_astray_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = shards._write_tensor

    def exchanged(file: Any, entry: Entry) -> None:
        if entry.name.endswith("layers.2.self_attn.o_proj.weight"):
            ((count, make),) = entry.parts
            parts = [(count, lambda rows: make(rows)[[1, 0, *range(2, count)]])]
            entry = Entry(entry.name, entry.shape, entry.dtype, parts)
        write(file, entry)

    monkeypatch.setattr(shards, "_write_tensor", exchanged)
    code, said = run(capsys, MODEL_FOLDER, tmp_path / "out", "--layout", "native")
    assert (code, "its logits differ by" in said) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.different"]


@pytest.mark.usefixtures("short")
def test_what_peft_alone_can_merge_is_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = adapter(tmp_path / "adapter", OTHERS["bias"])
    code, said = run(capsys, folder, tmp_path / "out")
    assert (code, "Checked  not loaded again: " in said) == (0, True)
