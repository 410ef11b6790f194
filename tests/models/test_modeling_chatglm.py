"""What transformers asks of its own networks, of ChatGLM-6B's: the checks of its model tester."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, StaticCache

from tuneglm.models.chatglm.configuration_chatglm import ChatGLMConfig
from tuneglm.models.chatglm.modeling_chatglm import (
    ChatGLMForConditionalGeneration,
    ChatGLMModel,
    answer_starts,
    position_pairs,
)

MASK, GMASK, SOP, EOP, PAD = 500, 501, 504, 505, 3
CONFIG = ChatGLMConfig(
    vocab_size=512,
    hidden_size=32,
    num_layers=3,
    num_attention_heads=4,
    inner_hidden_size=64,
    max_sequence_length=64,
    bos_token_id=SOP,
    eos_token_id=EOP,
    mask_token_id=MASK,
    gmask_token_id=GMASK,
    pad_token_id=PAD,
)


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    model = ChatGLMForConditionalGeneration(copy.deepcopy(CONFIG))
    # weights far enough from zero that a wrong mask or position shows
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def row(context: int, answer: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(10, 400, (context + answer,), generator=generator)
    middle = torch.tensor([GMASK, SOP])
    return torch.cat((words[:context], middle, words[context:]))


def batch(rows: list[torch.Tensor], side: str) -> dict[str, torch.Tensor]:
    pad = torch.nn.utils.rnn.pad_sequence
    ones = [torch.ones_like(each) for each in rows]
    return {
        "input_ids": pad(rows, batch_first=True, padding_value=PAD, padding_side=side),
        "attention_mask": pad(ones, batch_first=True, padding_side=side),
    }


ROWS = [row(7, 4), row(3, 9, 1), row(12, 1, 2)]


# positions and mask


def test_positions_of_a_context_and_its_answer() -> None:
    ids = row(3, 2)[None]
    starts = answer_starts(CONFIG, ids, None)
    first, second = position_pairs(torch.ones_like(ids), starts)[0].tolist()
    assert first == [0, 1, 2, 3, 3, 3, 3]
    assert second == [0, 0, 0, 0, 1, 2, 3]


@pytest.mark.parametrize(("side", "padding"), [("left", (4, 0)), ("right", (0, 4))])
def test_positions_do_not_count_padding(side: str, padding: tuple[int, int]) -> None:
    ids = row(3, 2)[None]
    alone = position_pairs(torch.ones_like(ids), answer_starts(CONFIG, ids, None))
    padded = torch.nn.functional.pad(ids, padding, value=PAD)
    mask = torch.nn.functional.pad(torch.ones_like(ids), padding)
    pairs = position_pairs(mask, answer_starts(CONFIG, padded, mask))
    assert torch.equal(pairs[..., mask[0].bool()], alone)
    assert not pairs[..., ~mask[0].bool()].any()


def test_a_mask_token_is_filled_where_there_is_no_gmask() -> None:
    ids = torch.tensor([[20, MASK, 21, SOP, 22]])
    assert answer_starts(CONFIG, ids, None).tolist() == [[3, 1]]
    first, second = position_pairs(torch.ones_like(ids), answer_starts(CONFIG, ids, None))[0]
    assert (first.tolist(), second.tolist()) == ([0, 1, 2, 1, 1], [0, 0, 0, 1, 2])


@pytest.mark.parametrize("ids", [[20, 21, 22], [20, GMASK, 21], [20, SOP, 21]])
def test_a_row_without_gmask_or_sop_is_an_error(model: Any, ids: list[int]) -> None:
    with pytest.raises(ValueError, match=r"Row 1 of `input_ids` has no `\[gMASK\]`"):
        model(torch.tensor([row(0, 1).tolist(), ids]))


def test_the_context_sees_itself_and_nothing_of_the_answer(model: Any) -> None:
    ids = row(6, 3)[None]
    states = model.transformer(ids).last_hidden_state
    later = ids.clone()
    later[0, -1] += 1
    changed = model.transformer(later).last_hidden_state
    assert torch.equal(states[0, :-1], changed[0, :-1])
    within = ids.clone()
    within[0, 5] += 1
    assert not torch.allclose(model.transformer(within).last_hidden_state[0, 0], states[0, 0])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_alone_equal_rows_in_a_padded_batch(model: Any, side: str, attention: str) -> None:
    model.set_attn_implementation(attention)
    inputs = batch(ROWS, side)
    logits = model(**inputs).logits
    for ids, each, real in zip(ROWS, logits, inputs["attention_mask"].bool(), strict=True):
        torch.testing.assert_close(each[real], model(ids[None]).logits[0], atol=2e-5, rtol=0)


def test_rows_packed_into_one_equal_rows_alone(model: Any) -> None:
    """By a ready mask and ready positions; nothing else of the model knows of packing."""
    packed = torch.cat(ROWS)[None]
    pairs, length = [], packed.shape[1]
    seen = torch.zeros(length, length, dtype=torch.bool)
    start = 0
    for ids in ROWS:
        starts = answer_starts(CONFIG, ids[None], None)
        pairs.append(position_pairs(torch.ones_like(ids)[None], starts))
        end, context = start + len(ids), start + int(starts[0, 0])
        seen[start:end, start:end] = torch.ones(len(ids), len(ids)).tril().bool()
        seen[start:end, start:context] = True
        start = end
    mask = torch.zeros(1, 1, length, length).masked_fill(~seen, torch.finfo(torch.float32).min)
    logits = model(packed, attention_mask=mask, position_ids=torch.cat(pairs, dim=-1)).logits[0]
    for ids, each in zip(ROWS, logits.split([len(ids) for ids in ROWS]), strict=True):
        torch.testing.assert_close(each, model(ids[None]).logits[0], atol=2e-5, rtol=0)


# the cache


def test_step_by_step_with_a_cache_equals_all_at_once(model: Any) -> None:
    """The model finds the positions of each step by itself."""
    inputs = batch([row(7, 5), row(4, 5, 1)], "left")
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    whole = model(**inputs).logits
    prompt = ids.shape[1] - 5
    output = model(ids[:, :prompt], attention_mask=mask[:, :prompt], use_cache=True)
    cache = output.past_key_values
    for place in range(prompt, ids.shape[1]):
        output = model(
            ids[:, place : place + 1],
            attention_mask=mask[:, : place + 1],
            past_key_values=cache,
            use_cache=True,
        )
        torch.testing.assert_close(output.logits[:, 0], whole[:, place], atol=2e-5, rtol=0)


def test_a_cache_of_fixed_length_gives_the_same_logits(model: Any) -> None:
    ids = row(7, 5)[None]
    cache = StaticCache(config=model.config, max_cache_len=32)
    model(ids[:, :9], past_key_values=cache)
    step = model(ids[:, 9:], past_key_values=cache).logits
    torch.testing.assert_close(step, model(ids).logits[:, 9:], atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    "options",
    [{}, {"use_cache": False}, {"cache_implementation": "static", "disable_compile": True}],
    ids=["dynamic", "none", "static"],
)
def test_greedy_rows_of_a_batch_equal_rows_alone(model: Any, options: dict[str, Any]) -> None:
    prompts = [row(7, 0), row(3, 0, 1), row(12, 0, 2)]
    arguments = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}
    together = model.generate(**batch(prompts, "left"), **arguments, **options)
    for prompt, output in zip(prompts, together, strict=True):
        alone = model.generate(prompt[None], **arguments)
        assert output[-8:].tolist() == alone[0, -8:].tolist()


def test_beams_equal_beams_without_a_cache(model: Any) -> None:
    inputs = batch([row(7, 0), row(3, 0, 1)], "left")
    arguments = {"max_new_tokens": 6, "min_new_tokens": 6, "num_beams": 3, "do_sample": False}
    with_cache = model.generate(**inputs, **arguments)
    assert torch.equal(with_cache, model.generate(**inputs, **arguments, use_cache=False))


def test_sampling_several_answers_of_one_prompt(model: Any) -> None:
    torch.manual_seed(0)
    outputs = model.generate(
        row(5, 0)[None], do_sample=True, num_return_sequences=3, max_new_tokens=5, min_new_tokens=5
    )
    assert outputs.shape == (3, 12)
    assert len({tuple(output.tolist()) for output in outputs}) > 1


def test_a_candidate_of_several_tokens_is_checked_at_once(model: Any) -> None:
    prompt = row(9, 0)[None]
    arguments = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}
    plain = model.generate(prompt, **arguments)
    assert torch.equal(model.generate(prompt, prompt_lookup_num_tokens=3, **arguments), plain)


# long sequences and small types


def test_sequences_beyond_the_trained_length(model: Any) -> None:
    """Positions have no table to outgrow: after 10,000 tokens a cache gives the same answer."""
    ids = row(10_000, 3)[None]
    with torch.no_grad():
        whole = model(ids, logits_to_keep=2).logits
        cache = model(ids[:, :-2], use_cache=True, logits_to_keep=1).past_key_values
        steps = model(ids[:, -2:], past_key_values=cache).logits
    assert whole.isfinite().all()
    torch.testing.assert_close(steps, whole, atol=5e-5, rtol=0)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_float16_stays_finite_where_naive_scores_and_gelu_overflow(
    model: Any, attention: str
) -> None:
    with torch.no_grad():
        for layer in model.transformer.layers:
            layer.attention.query_key_value.weight *= 300
            layer.mlp.dense_h_to_4h.weight *= 600
            layer.mlp.dense_4h_to_h.weight /= 6000
            layer.attention.dense.weight /= 600
    states = model.transformer.layers[0].input_layernorm(model.transformer.word_embeddings.weight)
    fused = model.transformer.layers[0].attention.query_key_value(states).view(-1, 4, 24)
    largest = torch.finfo(torch.float16).max
    assert (fused[..., :8] @ fused[..., 8:16].transpose(1, 2)).abs().max() > largest
    assert model.transformer.layers[0].mlp.dense_h_to_4h(states).square().max() > largest
    half = copy.deepcopy(model).half()
    half.set_attn_implementation(attention)
    logits = half(**batch(ROWS, "left")).logits
    assert logits.isfinite().all()


# what a PreTrainedModel does


def test_gradients_with_checkpointing_equal_those_without(model: Any) -> None:
    inputs = batch(ROWS, "right")
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        model(**inputs, labels=labels).loss.backward()
        return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}

    plain = gradients()
    model.gradient_checkpointing_enable()
    model.train()
    again = gradients()
    assert all(torch.equal(plain[name], again[name]) for name in plain)


def test_saved_and_loaded_by_plain_transformers(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert "transformer.layers.0.attention.query_key_value.weight" in names
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="float32")
    assert isinstance(again, ChatGLMForConditionalGeneration)
    assert again.lm_head.weight is again.transformer.word_embeddings.weight
    ids = ROWS[0][None]
    assert torch.equal(again(ids).logits, model(ids).logits)
    assert isinstance(AutoModel.from_pretrained(tmp_path), ChatGLMModel)


def test_the_config_comes_back_and_answers_to_the_usual_names(tmp_path: Path) -> None:
    CONFIG.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(again, ChatGLMConfig)
    assert json.loads(again.to_json_string()) == json.loads(CONFIG.to_json_string())
    assert (again.num_hidden_layers, again.intermediate_size) == (3, 64)


def test_the_config_of_a_later_network_is_refused() -> None:
    with pytest.raises(ValueError, match="of ChatGLM2, ChatGLM3 or GLM-4"):
        ChatGLMConfig(ffn_hidden_size=1)


def test_resized_embeddings_stay_tied(model: Any) -> None:
    model.resize_token_embeddings(600)
    assert model.lm_head.weight is model.transformer.word_embeddings.weight
    assert model(ROWS[0][None]).logits.shape[-1] == 600


def test_hidden_states_and_attentions(model: Any) -> None:
    model.set_attn_implementation("eager")
    ids = ROWS[0][None]
    output = model(ids, output_hidden_states=True, output_attentions=True)
    assert len(output.hidden_states) == 4
    assert [weights.shape for weights in output.attentions] == [(1, 4, 13, 13)] * 3
    torch.testing.assert_close(output.attentions[0].sum(-1), torch.ones(1, 4, 13))


def test_embeddings_in_place_of_ids_need_positions(model: Any) -> None:
    ids = ROWS[0][None]
    embeddings = model.get_input_embeddings()(ids)
    with pytest.raises(ValueError, match="give `position_ids`"):
        model(inputs_embeds=embeddings)
    pairs = position_pairs(torch.ones_like(ids), answer_starts(CONFIG, ids, None))
    logits = model(inputs_embeds=embeddings, position_ids=pairs).logits
    assert torch.equal(logits, model(ids).logits)


def test_the_last_logits_alone(model: Any) -> None:
    ids = ROWS[0][None]
    torch.testing.assert_close(model(ids, logits_to_keep=1).logits, model(ids).logits[:, -1:])


def test_weights_from_the_class_alone_are_initialised() -> None:
    model = ChatGLMForConditionalGeneration(CONFIG)
    assert model.transformer.word_embeddings.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert model.transformer.layers[0].mlp.dense_h_to_4h.bias.count_nonzero() == 0
    assert model.transformer.rotary_emb.inv_freq[0] == 1
