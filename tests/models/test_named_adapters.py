"""Adapters loaded once and chosen by name: each answers as it does alone, also row by row."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.methods.cells import IDS, MASK, base_of, load, train, tuned
from tuneglm.errors import ModelError
from tuneglm.models import family_named
from tuneglm.models.named_adapters import NamedAdapters

# name → method, and what makes one adapter of it unlike another
ADAPTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "lora": ("lora", ("method.rank=4",)),
    "other lora": ("lora", ("method.rank=2", "method.targets=all")),
    "prefix": ("p_tuning", ("method.length=5", "method.dropout=0")),
    "projected": ("p_tuning", ("method.length=3", "method.dropout=0", "method.projection=8")),
    "prompt": ("prompt", ("method.length=4",)),
}
SEVERAL = ("prefix", "base", "projected", "prompt", "prefix")


@pytest.fixture(scope="module", params=["chatglm", "chatglm2", "native"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(base, its family, name → folder)."""
    family, folder = request.param, tmp_path_factory.mktemp("adapters")
    base, folders = base_of(family, folder), {}
    for name, (method, settings) in ADAPTERS.items():
        trained = tuned(base, family, method, *settings)
        train(trained, 1e-1)
        folders[name] = folder / name
        trained.model.save_pretrained(folders[name])
    return base, family, folders


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = model(input_ids=IDS, attention_mask=MASK).logits
    return output[MASK.bool()]


def named(made: Any, *names: str) -> tuple[Any, NamedAdapters]:
    base, family, folders = made
    model = load(base, family)
    chosen = {name: folders[name] for name in names or ADAPTERS}
    return model, NamedAdapters(model, chosen, family_named(family))


def test_each_is_what_it_is_alone_whichever_came_before(made: Any) -> None:
    base, family, folders = made
    model, adapters = named(made)
    assert adapters.names == ("base", *ADAPTERS)
    alone = {name: logits(load(folders[name], family)) for name in ADAPTERS}
    alone["base"] = logits(load(base, family))
    for name in ("base", *ADAPTERS, "lora", "prompt", "base", "prefix", "other lora", "base"):
        adapters.choose(name)
        assert torch.equal(logits(model), alone[name]), name
    assert len({each.sum().item() for each in alone.values()}) == len(alone)


@pytest.mark.parametrize(
    "options",
    [{}, {"use_cache": False}, {"cache_implementation": "static", "disable_compile": True}],
    ids=["dynamic", "none", "static"],
)
def test_rows_of_one_batch_have_prefixes_of_their_own(made: Any, options: dict[str, Any]) -> None:
    """Of unlike lengths, beside rows with none, in every cache; padded rows too."""
    model, adapters = named(made, *{*SEVERAL} - {"base"})
    prompt = torch.tensor([[20, 21, 22, 501, 504], [3, 30, 31, 501, 504]])
    prompt = prompt[[0, 1, 0, 1, 1]]
    fixed = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 3}
    fixed |= {"output_scores": True, "return_dict_in_generate": True}

    def scores(rows: torch.Tensor) -> torch.Tensor:
        drawn = model.generate(rows, attention_mask=(rows != 3).long(), **fixed, **options)
        return torch.stack(drawn.scores, dim=1)

    with adapters.for_rows(SEVERAL):
        together = scores(prompt)
    assert adapters.chosen == ("base",)
    for row, name in enumerate(SEVERAL):
        adapters.choose(name)
        alone = scores(prompt[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)


def test_an_adapter_named_beside_one_that_is_always_there(made: Any) -> None:
    """As `load_model` adds several: both are active."""
    base, family, folders = made
    model = load(folders["lora"], family)
    adapters = NamedAdapters(model, {"more": folders["other lora"]}, family_named(family))
    assert torch.equal(logits(model), logits(load(folders["lora"], family)))
    adapters.choose("more")
    both = load(base, family, adapters=[folders["lora"], folders["other lora"]])
    assert torch.equal(logits(model), logits(both))


def test_on_packed_weights(tmp_path: Path) -> None:
    """A prefix computed once, and LoRA, on 4 bits."""
    pytest.importorskip("bitsandbytes")
    base, folders = base_of("native", tmp_path), dict[str, Path]()
    for name in ("lora", "prompt", "prefix"):
        trained = tuned(base, "native", ADAPTERS[name][0], *ADAPTERS[name][1], bits=4)
        train(trained, 1e-1)
        folders[name] = tmp_path / name
        trained.model.save_pretrained(folders[name])
    model = load(base, "native", bits=4)
    adapters = NamedAdapters(model, folders, family_named("native"))
    for name in (*folders, "lora"):
        adapters.choose(name)
        assert torch.equal(logits(model), logits(load(folders[name], "native", bits=4))), name


def test_what_cannot_be(made: Any, tmp_path: Path) -> None:
    base, family, folders = made
    _, adapters = named(made, "lora", "other lora", "prefix")
    with pytest.raises(ModelError, match="did you mean `lora`"):
        adapters.choose("lorra")
    with pytest.raises(ModelError, match="cannot share a batch"):
        adapters.choose("lora", "prefix")
    assert adapters.chosen == ("base",)
    record = family_named(family)
    with pytest.raises(ModelError, match="cannot be called `base`"):
        NamedAdapters(load(base, family), {"base": folders["lora"]}, record)
    with pytest.raises(ModelError, match="has a prefix or a soft prompt already"):
        NamedAdapters(load(folders["prefix"], family), {"one": folders["prompt"]}, record)
    strange = Path(shutil.copytree(folders["lora"], tmp_path / "strange")) / "adapter_config.json"
    changed = {**json.loads(strange.read_text()), "base_model_name_or_path": "/models/glm-4-9b"}
    strange.write_text(json.dumps(changed))
    with pytest.raises(ModelError, match="are of different models"):
        pair = {"one": folders["prefix"], "two": strange.parent}
        NamedAdapters(load(base, family), pair, record)
    settings = {"freeze": ("method.layers=1",), "lora": ("method.tokens=[22]",)}
    for method, options in settings.items():
        stays = tuned(base, family, method, *options)
        stays.model.save_pretrained(tmp_path / method)
        with pytest.raises(ModelError, match="cannot be switched off again"):
            NamedAdapters(load(base, family), {"one": tmp_path / method}, record)


def test_one_that_comes_later_and_one_that_goes(made: Any, tmp_path: Path) -> None:
    """The others answer as before; whoever comes, goes and comes again is what it is alone."""
    base, family, folders = made
    model, adapters = named(made, "lora", "prefix")
    alone = {name: logits(load(folders[name], family)) for name in ADAPTERS}
    alone["base"] = logits(load(base, family))

    def same(*names: str) -> None:
        for name in ("base", *names, "base"):
            adapters.choose(name)
            assert torch.equal(logits(model), alone[name]), name

    for name in ("prompt", "other lora", "projected"):
        adapters.add(name, folders[name])
    same(*ADAPTERS)
    adapters.choose("lora")
    for name in ADAPTERS:
        adapters.remove(name)
        same(*(each for each in ADAPTERS if each in adapters.names))
    assert adapters.names == ("base",)
    for name in ("other lora", "prompt", "lora"):
        adapters.add(name, folders[name])
    same("lora", "prompt", "other lora")
    with pytest.raises(ModelError, match="did you mean `lora`"):
        adapters.remove("lorra")
    with pytest.raises(ModelError, match="cannot be taken away"):
        adapters.remove("base")
    with pytest.raises(ModelError, match="already"):
        adapters.add("lora", folders["lora"])
    broken = tmp_path / "broken"
    shutil.copytree(folders["lora"], broken)
    config = json.loads((broken / "adapter_config.json").read_text())
    (broken / "adapter_config.json").write_text(json.dumps({**config, "r": 3}))
    with pytest.raises(ModelError, match="has the shape"):
        adapters.add("broken", broken)
    assert adapters.names == ("base", "other lora", "prompt", "lora")
    same("lora", "prompt", "other lora")
