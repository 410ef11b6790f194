"""Checkpoints that share a network: which family each is, and what its `rope_ratio` means.

Facts of the published config.json files, on the sizes of the small golden models.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tuneglm.models import family_of
from tuneglm.models.loading import load_model

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
# checkpoint: (golden sizes, what config.json has beside them, family)
CHECKPOINTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "chatglm-6b": ("v1", {"_name_or_path": "THUDM/chatglm-6b"}, "chatglm"),
    "chatglm2-6b": ("v2", {"_name_or_path": "THUDM/chatglm2-6b"}, "chatglm2"),
    "chatglm2-6b-32k": (
        "v2",
        {"_name_or_path": "THUDM/chatglm2-6b-32k", "rope_ratio": 50, "seq_length": 32768},
        "chatglm2",
    ),
    "codegeex2-6b": ("v2", {"_name_or_path": "THUDM/codegeex2-6b"}, "chatglm2"),
    "chatglm3-6b-base": ("v3", {"_name_or_path": "THUDM/chatglm3-6b-base"}, "chatglm3"),
    "chatglm3-6b-32k": (
        "v3",
        {"_name_or_path": "THUDM/chatglm3-6b-32k", "rope_ratio": 50, "seq_length": 32768},
        "chatglm3",
    ),
    "chatglm3-6b-128k": (
        "v3",
        {"_name_or_path": "THUDM/chatglm3-6b-128k", "rope_ratio": 500, "seq_length": 131072},
        "chatglm3",
    ),
    "glm-4-9b-chat-1m": ("glm4", {"rope_ratio": 10000, "seq_length": 1048576}, "glm4"),
}
IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


def folder_of(name: str, parent: Path) -> Path:
    version, changes, _ = CHECKPOINTS[name]
    folder = Path(shutil.copytree(GOLDEN / version / "base", parent / name))
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    if version == "glm4":
        # its vocabulary is tiktoken's, by which it is known
        (folder / "tokenizer.model").write_text("IQ== 0\n")
    return folder


def load(folder: Path, family: str) -> Any:
    (folder / "tokenizer.model").unlink(missing_ok=True)
    return load_model(folder, family=family, dtype="float32", device="cpu")


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_each_is_recognised_and_loads(name: str, tmp_path: Path) -> None:
    folder = folder_of(name, tmp_path)
    family = CHECKPOINTS[name][2]
    assert family_of(folder).name == family
    model = load(folder, family)
    length = CHECKPOINTS[name][1].get("seq_length")
    assert length is None or model.config.max_position_embeddings == length


def test_for_chatglm2_the_ratio_divides_positions(tmp_path: Path) -> None:
    plain = load(folder_of("chatglm2-6b", tmp_path), "chatglm2")
    long = load(folder_of("chatglm2-6b-32k", tmp_path), "chatglm2")
    positions = torch.arange(IDS.shape[1])[None]
    torch.testing.assert_close(
        long(IDS, position_ids=positions * 50).logits, plain(IDS, position_ids=positions).logits
    )


@pytest.mark.parametrize("name", ["chatglm3-6b-32k", "chatglm3-6b-128k", "glm-4-9b-chat-1m"])
def test_for_chatglm3_and_glm4_it_multiplies_the_base(name: str, tmp_path: Path) -> None:
    _, changes, family = CHECKPOINTS[name]
    model = load(folder_of(name, tmp_path), family)
    size = len(model.model.rotary_emb.inv_freq)
    exponents = torch.arange(size, dtype=torch.float32) / size
    wanted = 1 / (10_000 * changes["rope_ratio"]) ** exponents
    torch.testing.assert_close(model.model.rotary_emb.inv_freq, wanted)


@pytest.mark.parametrize("name", ["chatglm2-6b-32k", "chatglm3-6b-128k"])
def test_the_ratio_is_written_again(name: str, tmp_path: Path) -> None:
    from tuneglm.models import family_named
    from tuneglm.models.published import save_published

    _, changes, family = CHECKPOINTS[name]
    model = load(folder_of(name, tmp_path), family)
    save_published(model, family_named(family).layout, tmp_path / "again")  # type: ignore[arg-type]
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["rope_ratio"] == changes["rope_ratio"]
    assert torch.equal(load(tmp_path / "again", family)(IDS).logits, model(IDS).logits)
