"""Which rows share a batch, and what a batch of them is."""

import random
from functools import partial
from pathlib import Path

import pytest

from tests.published import data_file, tokenizer_folder
from tuneglm.config import load_config
from tuneglm.data.batches import Groups, batches, room
from tuneglm.data.collate import Collator, concatenate
from tuneglm.data.encode import Encoder, rule_of
from tuneglm.data.encoded import UNTRAINED, Encoded
from tuneglm.data.examples import load_examples
from tuneglm.data.pack import packs, rectangles
from tuneglm.data.pipeline import encode_data
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError
from tuneglm.models import family_named


def row(length: int, first: int = 10) -> Encoded:
    ids = list(range(first, first + length))
    return Encoded(ids, [UNTRAINED, *ids[1:]], [False] * length)


def drawn(count: int, longest: int) -> list[int]:
    draw = random.Random(0)
    return [min(longest, max(4, int(draw.lognormvariate(5, 1)))) for _ in range(count)]


def test_the_fullest_pack_with_room_takes_the_next_longest_row() -> None:
    assert packs([4, 7, 3, 6, 2, 10], 10) == [[5], [1, 2], [3, 0], [4]]


def test_every_row_is_in_one_pack_and_none_is_over_full() -> None:
    lengths = drawn(5000, 1024)
    made = packs(lengths, 1024)
    assert sorted(i for pack in made for i in pack) == list(range(5000))
    assert max(sum(lengths[i] for i in pack) for pack in made) <= 1024
    assert sum(lengths) / (len(made) * 1024) > 0.99


def test_rows_as_long_as_a_pack_stand_alone() -> None:
    assert packs([8, 8, 8], 8) == [[0], [1], [2]]
    assert packs([], 8) == []


def test_rectangles_hold_what_rows_times_longest_allows() -> None:
    assert rectangles([2, 3, 4, 5, 9, 1, 1], 12) == [[0, 1, 2], [3], [4], [5, 6]]
    assert rectangles([20], 12) == [[0]]


@pytest.mark.parametrize("batching", ["padded", "length_grouped"])
def test_tokens_per_batch_counts_padding(batching: str) -> None:
    config = DataConfig.model_validate(
        {"cutoff": 64, "batching": batching, "tokens_per_batch": 256}
    )
    rows = [row(length) for length in drawn(300, 64)]
    made = batches(config, rows, rows[:30])
    assert isinstance(made.train, Groups) and made.evaluation is not None
    collator = Collator(0, made.packed)
    shapes = [collator([group])["input_ids"].shape for group in made.train]
    assert max(shape.numel() for shape in shapes) <= 256
    assert sum(shape[0] for shape in shapes) == 300
    assert sum(len(group) for group in made.evaluation if isinstance(group, tuple)) == 30
    assert f"{batching} · {len(made.train)} batches of at most 256 tokens" in made.sentence


def test_rows_of_like_length_are_padded_less() -> None:
    rows = [row(length) for length in drawn(300, 64)]
    counts = [
        len(batches(DataConfig(cutoff=64, batching=way, tokens_per_batch=256), rows, None).train)
        for way in ("packed", "length_grouped", "padded")
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[2]


def test_without_a_number_of_tokens_rows_stay_rows() -> None:
    rows = [row(5), row(6)]
    assert batches(DataConfig(), rows, None).train is rows
    assert batches(DataConfig(batching="length_grouped"), rows, None).train is rows


def test_a_pack_is_one_sequence_and_no_row_predicts_the_next() -> None:
    batch = concatenate([row(3), row(2, 50)])
    assert batch["input_ids"].tolist() == [[10, 11, 12, 50, 51]]
    assert batch["labels"].tolist() == [[UNTRAINED, 11, 12, UNTRAINED, 51]]
    assert batch["row_lengths"].tolist() == [[3, 2]]
    trained_first = Encoded([7, 8], [7, 8], [False, False])
    assert concatenate([trained_first])["labels"].tolist() == [[UNTRAINED, 8]]


def test_several_packs_are_one_longer_sequence() -> None:
    packed = Collator(0, packed=True)([(row(3), row(2)), (row(4),)])
    assert packed["row_lengths"].tolist() == [[3, 2, 4]]
    assert Collator(0)([(row(3), row(2)), (row(4),)])["input_ids"].shape == (3, 4)


def test_a_pack_has_room_for_the_longest_row() -> None:
    assert room(DataConfig(batching="packed", cutoff=512)) == 512
    assert room(DataConfig(batching="packed", max_source_length=100, max_target_length=60)) == 160
    with pytest.raises(ConfigError, match=r"`data\.tokens_per_batch` is `500`, and a row may have"):
        load_config(None, ["model.path=x", "data.tokens_per_batch=500", "data.cutoff=512"])


def encoded(family_name: str, file: Path, cutoff: int) -> list[Encoded]:
    family = family_named(family_name)
    tokenizer = family.load_tokenizer(tokenizer_folder(family_name))
    settings = [f"data.train={file}", "data.bad_rows=skip", f"data.cutoff={cutoff}"]
    config = load_config(None, ["model.path=x", *settings]).data
    rule = rule_of(config, family.answers_per_row)
    encoder = Encoder(partial(family.render, tokenizer), rule, family_name)
    return list(encode_data(load_examples(config), encoder, config).train.rows)


@pytest.mark.parametrize("family_name", ["chatglm", "chatglm2", "chatglm3", "glm4"])
@pytest.mark.parametrize("name", ["lima.json", "alpaca_zh_demo.json"])
def test_99_of_100_slots_are_filled(family_name: str, name: str) -> None:
    lengths = [row.length for row in encoded(family_name, data_file(name), 1024)]
    filled = sum(lengths) / (1024 * len(packs(lengths, 1024)))
    assert filled >= 0.99, filled
