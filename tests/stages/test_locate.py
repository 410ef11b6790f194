"""Where a run's numbers first are none: the module and the row are named."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.conftest import ROWS, Configure
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import DivergedError
from tuneglm.models.loading import load_model, load_tokenizer
from tuneglm.stages.locate import Place, first_not_finite, rows_of
from tuneglm.training import train


class Doubled(nn.Module):
    """x → x² on the way there, and whatever is put in on the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        nn.init.ones_(self.first.weight)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(values).sqrt()).sum()


def place(model: nn.Module, values: torch.Tensor) -> Place | None:
    ids = {"input_ids": values}
    return first_not_finite(model, ids, lambda batch: model(batch["input_ids"]))


def test_the_first_module_and_row_whose_output_is_none() -> None:
    values = torch.ones(3, 4)
    model = Doubled()
    with torch.no_grad():
        model.first.bias.zero_()
    assert place(model, values) is None
    values[1, 2] = torch.inf
    assert place(model, values) == Place("first", 1, gradient=False, weights=False)
    with torch.no_grad():
        model.second.weight[0, 0] = torch.nan
    assert place(model, torch.ones(3, 4)) == Place("second", 0, gradient=False, weights=True)


def test_a_gradient_that_is_none_though_the_loss_is_a_number() -> None:
    model = Doubled()
    with torch.no_grad():
        model.first.bias.zero_()
    # the root of 0 is 0, and its slope infinite
    values = torch.ones(3, 4)
    values[2] = 0
    assert model(values).isfinite()
    assert place(model, values) == Place("first", 2, gradient=True, weights=False)


def test_rows_of_padded_and_packed_batches() -> None:
    ids = torch.arange(6)
    padded = {"input_ids": ids.view(2, 3), "labels": ids.view(2, 3)}
    assert [row["labels"].tolist() for row in rows_of(padded)] == [[[0, 1, 2]], [[3, 4, 5]]]
    packed = {"input_ids": ids[None], "row_lengths": torch.tensor([[2, 4]])}
    first, second = rows_of(packed)
    assert first["input_ids"].tolist() == [[0, 1]]
    assert first["row_lengths"].tolist() == [[2]]
    assert second["input_ids"].tolist() == [[2, 3, 4, 5]]


def broken_model(folder: Path, break_weights: Any) -> Path:
    model: Any = load_model(MODEL_FOLDER, dtype="float32", device="cpu")
    tokenizer = load_tokenizer(MODEL_FOLDER)
    with torch.no_grad():
        break_weights(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_a_run_says_where(batching: str, configure: Configure, tmp_path: Path) -> None:
    def break_seven(model: Any, tokenizer: Any) -> None:
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("7")] = torch.inf

    folder = broken_model(tmp_path / "base", break_seven)
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([*ROWS[:3], {"instruction": "3+4=", "input": "", "output": "7 7"}]))
    config = configure(
        tmp_path / "out",
        f"model.path={folder}",
        "model.family=chatglm3",
        f"data.train={rows}",
        f"data.batching={batching}",
        *(("training.per_device_train_batch_size=4",) if batching == "padded" else ()),
    )
    with pytest.raises(DivergedError) as caught:
        train(config)
    assert caught.value.sentence == (
        "At step 1 the loss is not a number any more (nan); it begins with "
        f"`model.embed_tokens`, whose weights are none, on the row `{rows}:1, row 4`."
    )
