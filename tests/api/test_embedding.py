"""A text's vector: read in pieces it is that of the whole, and answers go on beside it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.api.serving import wait_until
from tests.methods.cells import base_of, load, train, tuned
from tests.writing.test_batch import END, prompts
from tuneglm.api import embedding as embedding_module
from tuneglm.api.embedding import Reading
from tuneglm.api.job import Job
from tuneglm.api.metrics import Metrics
from tuneglm.api.room import batch_for
from tuneglm.api.scheduler import Scheduler
from tuneglm.demo import MODEL_FOLDER
from tuneglm.generate import ChatModel
from tuneglm.models import family_named
from tuneglm.models.named_adapters import NamedAdapters
from tuneglm.serve_config import ServeConfig
from tuneglm.writing.places import place
from tuneglm.writing.row import Row, Sampling
from tuneglm.writing.text import AnswerText


class StandIn:
    """What of a ChatModel a text is read by."""

    def __init__(self, model: Any, family: str, folders: dict[str, Path]) -> None:
        self.model, self.family = model, family_named(family)
        self.adapters = NamedAdapters(model, folders, self.family)


def vector(chat: Any, ids: list[int], adapter: str) -> list[float]:
    reading = Reading(chat, ids, adapter)
    while not reading.is_done:
        reading.read()
    return reading.vector()


@pytest.mark.parametrize("family", ["chatglm", "chatglm2", "glm4", "native"])
def test_pieces_are_the_whole(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of(family, tmp_path)
    trained = tuned(base, family, "p_tuning", "method.length=5", "method.dropout=0")
    train(trained, 1e-1)
    trained.model.save_pretrained(tmp_path / "prefix")
    chat: Any = StandIn(load(base, family), family, {"prefix": tmp_path / "prefix"})
    texts = [prompt for prompt in prompts() if len(prompt) > 20]
    found = {}
    for piece in (7, 256):
        monkeypatch.setattr(embedding_module, "PIECE", piece)
        found[piece] = [vector(chat, ids, name) for ids in texts for name in ("base", "prefix")]
    for mine, whole in zip(found[7], found[256], strict=True):
        assert mine == pytest.approx(whole, abs=1e-5)
    assert found[256][0] != pytest.approx(found[256][1], abs=1e-3), "an adapter has its own"
    # of the base it is the mean of its states
    chat.adapters.choose("base")
    with torch.no_grad():
        states = chat.model.base_model(input_ids=torch.tensor([texts[0]])).last_hidden_state
    mean = torch.nn.functional.normalize(states[0].mean(dim=0), dim=0)
    assert found[256][0] == pytest.approx(mean.tolist(), abs=1e-5)
    assert texts[0][-2:] == END


def test_a_long_text_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_module, "PIECE", 16)
    chat = ChatModel(MODEL_FOLDER, dtype="float32", device="cpu")
    batch, _ = batch_for(chat, ServeConfig(slots=1))
    scheduler = Scheduler(batch, (), 3, Metrics(), lambda _: None)
    scheduler.start()
    row = Row([20, 21, 22], 400, Sampling(temperature=0), "base")
    place(row, chat.model.config, chat.family)
    text = AnswerText(lambda ids: "x" * len(ids), (), leading_space=True)
    scheduler.submit([Job(row, text, 0, streams=False, has_stops=False)])
    wait_until(lambda: row.ids)
    reading = Reading(chat, [*range(20, 420)], "base")
    written = []
    while not reading.is_done:
        written.append(len(row.ids))
        scheduler.call(reading.read).result(timeout=60)
    assert len(written) == 25
    # a token between any two pieces, but where the last one came in between
    assert len(set(written)) >= 20 or len(row.ids) == 400
    scheduler.stop()
