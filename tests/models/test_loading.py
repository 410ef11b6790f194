"""Model folders as people have them: whole ones load, and of broken ones a sentence says why."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tuneglm.errors import ModelError
from tuneglm.models import family_of
from tuneglm.models.loading import load_model, model_folder
from tuneglm.models.weights import read_tensors

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
FIRST_WORDS = 20_000


def load(folder: Path, **options: Any) -> Any:
    return load_model(folder, **{"dtype": "float32", "device": "cpu", **options})


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """ChatGLM-6B's small golden model, to be broken."""
    return Path(shutil.copytree(GOLDEN / "v1" / "base", tmp_path / "model"))


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "v1" / "sharded_bin", tmp_path / "sharded"))


def write_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))


def assert_golden(model: Any, folder: Path, tolerance: float = 1e-5) -> None:
    golden = load_file(folder / "golden.safetensors")
    wanted = golden.get("logits", golden.get("logits_float32"))
    mask = (~golden["attention_mask"][:, 0].all(dim=1)).long()
    logits = model(golden["input_ids"], attention_mask=mask).logits
    real = mask.bool()
    torch.testing.assert_close(logits[real], wanted[real], atol=tolerance, rtol=0)


# what people have


def test_pickled_shards_as_they_are_downloaded(sharded: Path) -> None:
    assert family_of(sharded).name == "chatglm"
    assert_golden(load(sharded), sharded)


def test_safetensors_in_shards(sharded: Path) -> None:
    index = json.loads((sharded / "pytorch_model.bin.index.json").read_text())
    for file in sharded.glob("*.bin"):
        tensors = {name: tensor.clone() for name, tensor in read_tensors(file)}
        save_file(tensors, file.with_suffix(".safetensors"))
        file.unlink()
    names = {
        key: Path(file).with_suffix(".safetensors").name
        for key, file in index["weight_map"].items()
    }
    (sharded / "pytorch_model.bin.index.json").unlink()
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert_golden(load(sharded), sharded)


def test_a_head_is_not_needed_beside_the_embeddings_that_it_is_tied_to(copied: Path) -> None:
    tensors = load_file(copied / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, copied / "model.safetensors")
    assert_golden(load(copied), copied)


def test_a_head_that_differs_from_the_embeddings_is_told(
    copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = load_file(copied / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"] + 1
    save_file(tensors, copied / "model.safetensors")
    assert_golden(load(copied), copied)
    assert "`lm_head.weight`" in caplog.text and "differs from the weight" in caplog.text


def first_release(folder: Path) -> Path:
    """The form of the first releases: 20,000 tokens for images before all others."""
    tensors = load_file(folder / "model.safetensors")
    vocabulary = torch.zeros(130_528, 32)
    vocabulary[:512] = tensors["transformer.word_embeddings.weight"]
    images = torch.full((FIRST_WORDS, 32), 7.0)
    for name in ("transformer.word_embeddings.weight", "lm_head.weight"):
        tensors[name] = torch.cat((images, vocabulary))
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_a_first_release_is_trimmed_and_gets_the_later_ids(copied: Path) -> None:
    write_config(
        first_release(copied),
        vocab_size=150_528,
        bos_token_id=150_004,
        eos_token_id=150_005,
        pad_token_id=20_003,
        mask_token_id=None,
        gmask_token_id=None,
    )
    model = load(copied)
    config = model.config
    assert (config.vocab_size, config.bos_token_id, config.eos_token_id) == (
        130_528,
        130_004,
        130_005,
    )
    assert (config.mask_token_id, config.gmask_token_id, config.pad_token_id) == (
        130_000,
        130_001,
        3,
    )
    weight = model.get_input_embeddings().weight
    before = load_file(GOLDEN / "v1" / "base" / "model.safetensors")
    assert torch.equal(weight[:512], before["transformer.word_embeddings.weight"])


def test_a_first_release_beside_the_later_config_is_trimmed_too(copied: Path) -> None:
    write_config(first_release(copied), vocab_size=130_528)
    assert len(load(copied).get_input_embeddings().weight) == 130_528


# what they have by mistake


def test_a_shard_is_missing(sharded: Path) -> None:
    (sharded / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(ModelError, match=r"00002-of-00002.bin` is missing: 1 of 2 shards"):
        load(sharded)


def test_a_shard_is_cut(sharded: Path) -> None:
    shard = sharded / "pytorch_model-00002-of-00002.bin"
    shard.write_bytes(shard.read_bytes()[:-2000])
    with pytest.raises(ModelError, match=r"00002-of-00002.bin` cannot be read"):
        load(sharded)


@pytest.mark.parametrize("kept", [0, 1, 5_000, 20_000, 40_000, 65_000])
def test_a_pickle_is_cut_anywhere(sharded: Path, kept: int) -> None:
    shard = sharded / "pytorch_model-00002-of-00002.bin"
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"00002-of-00002.bin` cannot be read") as error:
        load(sharded)
    assert "weights_only" not in str(error.value)


def test_ids_of_a_first_release_beside_the_later_vocabulary(copied: Path) -> None:
    write_config(copied, gmask_token_id=20_501, bos_token_id=20_504)
    assert_golden(load(copied), copied)


def test_packed_weights_beside_the_config_of_whole_ones(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / "v1" / "int8", tmp_path / "model"))
    write_config(folder, quantization_bit=None)
    with pytest.raises(ModelError, match=r"is packed in bits, but config\.json has no"):
        load(folder)


def test_a_git_lfs_pointer_stands_in_place_of_a_shard(sharded: Path) -> None:
    shard = sharded / "pytorch_model-00002-of-00002.bin"
    shard.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ModelError, match=r"`.*00002-of-00002.bin` is a Git LFS pointer"):
        load(sharded)


def test_a_pickle_that_would_run_code_is_refused(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    torch.save({"a": Path}, copied / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin` cannot be read"):
        load(copied)


@pytest.mark.parametrize("content", ["[]", '{"weight_map": ["a"]}', '{"weight_map": {"a": 1}}'])
def test_an_index_that_is_none(sharded: Path, content: str) -> None:
    (sharded / "pytorch_model.bin.index.json").write_text(content)
    with pytest.raises(ModelError, match=r"pytorch_model.bin.index.json` (is not|holds no)"):
        load(sharded)


def test_shards_without_their_index(sharded: Path) -> None:
    (sharded / "pytorch_model.bin.index.json").unlink()
    with pytest.raises(ModelError, match="holds 2 shards, but not the index"):
        load(sharded)


@pytest.mark.parametrize(
    "content", [{"module": {}, "step": 3}, "not weights at all"], ids=["no tensors", "text"]
)
def test_a_file_of_something_else(copied: Path, content: Any) -> None:
    (copied / "model.safetensors").unlink()
    if isinstance(content, str):
        (copied / "pytorch_model.bin").write_text(content)
    else:
        torch.save(content, copied / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin` (holds no table|cannot be read)"):
        load(copied)


def test_a_head_of_another_vocabulary(copied: Path) -> None:
    tensors = load_file(copied / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:-8].clone()
    save_file(tensors, copied / "model.safetensors")
    with pytest.raises(ModelError, match=r"`lm_head.weight` .* tied to \(512, 32\)"):
        load(copied)


def test_shards_of_two_models(sharded: Path) -> None:
    """The second one of a model that is wider."""
    shard = sharded / "pytorch_model-00002-of-00002.bin"
    torch.save({name: torch.cat((tensor, tensor)) for name, tensor in read_tensors(shard)}, shard)
    with pytest.raises(ModelError, match=r"has the shape .*, but config.json makes it"):
        load(sharded)


def test_a_weight_is_missing(copied: Path) -> None:
    tensors = load_file(copied / "model.safetensors")
    del tensors["transformer.layers.1.mlp.dense_h_to_4h.bias"]
    save_file(tensors, copied / "model.safetensors")
    with pytest.raises(ModelError, match=r"lack 1 that the model needs: `transformer.layers.1.mlp"):
        load(copied)


def test_the_config_has_fewer_layers_than_the_weights(copied: Path) -> None:
    write_config(copied, num_layers=2)
    with pytest.raises(ModelError, match=r"`transformer.layers.2.* is not a weight of this model"):
        load(copied)


def test_the_config_is_of_another_network(copied: Path) -> None:
    shutil.copy(GOLDEN / "v2" / "base" / "config.json", copied)
    with pytest.raises(
        ModelError, match=r"no weight of the model that config\.json describes: `.*` and \d+ more"
    ):
        load(copied)


@pytest.mark.parametrize(
    ("version", "changes", "message"),
    [
        ("v1", {"num_layers": "six"}, "has `num_layers: six`"),
        ("v1", {"hidden_size": None}, "lacks `hidden_size`"),
        ("v1", {"num_attention_heads": 0}, "has `num_attention_heads: 0`"),
        ("v1", {"position_encoding_2d": False}, "position_encoding_2d"),
        ("v2", {"num_attention_heads": 0}, "has `num_attention_heads: 0`"),
        ("v2", {"multi_query_group_num": None}, "lacks `multi_query_group_num`"),
        ("v2", {"num_layers": "six"}, "has `num_layers: six`"),
        ("v2", {"num_layers": 2.5}, "config.json cannot be used"),
        ("v2", {"rope_ratio": "x"}, "config.json cannot be used"),
        ("v1", {"num_attention_heads": 5}, "does not make 5 heads"),
        ("v1", {"quantization_config": "x"}, "has `quantization_config: x`"),
        ("v1", {"gmask_token_id": 999}, "outside the 512 tokens"),
        ("v1", {"quantization_bit": 3}, "has `quantization_bit: 3`"),
    ],
)
def test_a_config_that_cannot_be(
    tmp_path: Path, version: str, changes: dict[str, Any], message: str
) -> None:
    folder = Path(shutil.copytree(GOLDEN / version / "base", tmp_path / "model"))
    write_config(folder, **changes)
    with pytest.raises(ModelError, match=message):
        load(folder)


@pytest.mark.parametrize("family", ["native", "chatglm2", "glm4"])
def test_a_family_of_another_network(copied: Path, family: str) -> None:
    with pytest.raises(ModelError, match=f"no model of the family `{family}`: .* it is chatglm"):
        load(copied, family=family)


def test_the_guess_may_be_overridden_within_one_network() -> None:
    assert load(GOLDEN / "v3" / "base", family="chatglm2").config.model_type == "glm"


# how it is asked for


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "There is no device `gpu`"),
        ({"bits": 3}, "cannot be loaded in `3` bits"),
        ({"dtype": "float8"}, "There is no dtype `float8`"),
        ({"adapters": GOLDEN / "v1" / "base"}, "holds no adapter"),
        ({"attention": "flash_attention_2"}, "cannot be loaded in this way"),
        ({"adapters": [GOLDEN / "v1" / "lora_adapter"] * 2}, "is given twice"),
    ],
)
def test_what_cannot_be_asked_for(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(GOLDEN / "v1" / "base", **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="no device `cuda`"):
        load(GOLDEN / "v1" / "base", device="cuda")


# adapters


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "v2" / "lora_adapter", tmp_path / "adapter"))


def with_adapter(folder: Path) -> Any:
    return load(GOLDEN / "v2" / "base", family="chatglm2", adapters=folder)


@pytest.mark.parametrize("prefix", ["base_model.model.", "base_model.", ""])
@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_model.bin"])
def test_an_adapter_in_every_common_form(adapter: Path, prefix: str, name: str) -> None:
    wanted = with_adapter(adapter)(torch.tensor([[5, 6, 7]])).logits
    tensors = load_file(adapter / "adapter_model.safetensors")
    for file in adapter.glob("adapter_model.*"):
        file.unlink()
    tensors = {key.replace("base_model.model.", prefix): each for key, each in tensors.items()}
    if name.endswith(".bin"):
        torch.save(tensors, adapter / name)
    else:
        save_file(tensors, adapter / name)
    assert torch.equal(with_adapter(adapter)(torch.tensor([[5, 6, 7]])).logits, wanted)


def change_adapter(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_ranks_and_alphas_of_single_modules_follow_the_split(adapter: Path) -> None:
    change_adapter(adapter, alpha_pattern={"query_key_value": 80})
    model = with_adapter(adapter)
    attention = model.model.layers[0].self_attn
    assert attention.q_proj.scaling["adapter_0"] == attention.v_proj.scaling["adapter_0"] == 20
    assert model.model.layers[0].mlp.gate_up_proj.scaling["adapter_0"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"no_such_option": 1}, "does not fit this model: .*no_such_option"),
        ({"enable_lora": [True, False, True]}, "`enable_lora: "),
        ({"r": "x"}, "does not fit this model"),
        (
            {"modules_to_save": ["lm_head"]},
            "holds `lm_head` whole, and its file does not",
        ),
        ({"peft_type": "IA3"}, "of type `IA3`"),
    ],
)
def test_an_adapter_that_cannot_be_used(
    adapter: Path, changes: dict[str, Any], message: str
) -> None:
    change_adapter(adapter, **changes)
    with pytest.raises(ModelError, match=message):
        with_adapter(adapter)


def test_what_other_versions_of_peft_left_empty_is_passed_over(adapter: Path) -> None:
    change_adapter(adapter, enable_lora=None, merge_weights=False, of_a_later_version=None)
    assert with_adapter(adapter) is not None


def test_an_adapter_of_some_layers_alone(adapter: Path) -> None:
    """Its config may say so by a pattern; its file names them in full."""
    path = adapter / "adapter_model.safetensors"
    save_file({key: each for key, each in load_file(path).items() if "layers.0." in key}, path)
    change_adapter(adapter, target_modules=".*layers.0.*query_key_value", layers_to_transform=[0])
    model = with_adapter(adapter)
    assert "lora_A" in dict(model.model.layers[0].self_attn.q_proj.named_modules())
    assert not hasattr(model.model.layers[1].self_attn.q_proj, "lora_A")


def test_an_adapter_of_a_model_of_another_width(adapter: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file(
        {k: torch.cat((each, each)) if "lora_B" in k else each for k, each in tensors.items()}, path
    )
    with pytest.raises(ModelError, match="cannot be split into the model's modules"):
        with_adapter(adapter)


def test_an_adapter_saved_from_the_model_holds_the_adapter_alone(
    adapter: Path, tmp_path: Path
) -> None:
    model = with_adapter(adapter)
    model.save_pretrained(tmp_path / "again")
    names = load_file(tmp_path / "again" / "adapter_model.safetensors")
    assert all(".lora_" in name for name in names)
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(with_adapter(tmp_path / "again")(ids).logits, model(ids).logits)


def test_an_adapter_of_another_network(adapter: Path) -> None:
    with pytest.raises(ModelError, match=r"adapts `transformer\..*`, which this model does not"):
        load(GOLDEN / "v1" / "base", adapters=adapter)


def test_an_adapter_without_its_config(adapter: Path) -> None:
    (adapter / "adapter_config.json").unlink()
    with pytest.raises(ModelError, match=r"`adapter_config\.json` is missing"):
        with_adapter(adapter)


def test_an_adapter_is_no_model_to_tune(adapter: Path) -> None:
    from tuneglm.config import ModelConfig

    with pytest.raises(ModelError, match="is an adapter, not a model"):
        model_folder(ModelConfig(path=str(adapter)))


def test_a_processor_with_a_number_holds_parameters() -> None:
    """So accelerate calls the processor of a second process."""
    model = load_model(GOLDEN / "v1" / "base", family="chatglm", device="cpu:1")
    assert all(type(each) is torch.nn.Parameter for each in model.parameters())
    assert model.device == torch.device("cpu")
