"""Build a demo model from nothing: vocabulary, training, published folder, figures.

Run `python -m tuneglm.demo.build_model [--family chatglm]`; two CPU cores need about
fifty minutes. The later lessons alone: `--from-model FOLDER`, ten.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import GlmConfig, GlmForCausalLM

from tuneglm.data.formats import FORMATS
from tuneglm.data.messages import Example
from tuneglm.demo import MODEL_FOLDER, NAME, model_folders
from tuneglm.demo.curriculum import Row, last_rows, later_rows
from tuneglm.demo.figures import marked
from tuneglm.demo.training import Encode, Schedule, train
from tuneglm.demo.vocabulary import train_bpe, train_unigram
from tuneglm.generate import ChatModel
from tuneglm.models import family_named
from tuneglm.models.chatglm.configuration_chatglm import ChatGLMConfig
from tuneglm.models.chatglm.modeling_chatglm import ChatGLMForConditionalGeneration
from tuneglm.models.chatglm.tokenization_chatglm import ChatGLMTokenizerFast, written_pieces
from tuneglm.models.loading import load_tokenizer
from tuneglm.models.published import save_published

HIDDEN, LAYERS, HEADS, LENGTH = 192, 6, 6, 512
# larger weights for branches that stand beside a residual scaled for 28 layers
FIRST_SCALE = 4.0
LATER = (
    Schedule(1100, 1.5e-3, warmup_steps=50, rows=later_rows),
    Schedule(500, 1e-3, warmup_steps=50, rows=last_rows),
)
# of the weights after each lesson: what was known before is kept better than by the last ones
MEAN = (0.2, 0.4, 0.4)
TOKENIZER_CONFIG = {
    "tokenizer_class": "ChatGLMTokenizer",
    "remove_space": False,
    "do_lower_case": False,
    "model_max_length": LENGTH,
    "padding_side": "left",
}


@dataclass(frozen=True)
class Recipe:
    """What a demo model in one family's layout is made of.

    vocabulary       trains the sentencepiece file
    vocabulary_file  its published name
    model            tokenizer → a model of random weights
    later            lessons after the first
    """

    vocabulary: Callable[[], bytes]
    vocabulary_file: str
    model: Callable[[Any], Any]
    later: tuple[Schedule, ...] = ()


def main() -> None:
    """Build, save and mark the model."""
    arguments = _arguments()
    recipe = RECIPES[arguments.family]
    # tiny attention weights of no effect, which a processor computes ten times as slowly;
    # said before there are threads, which take the setting from the one that starts them
    torch.set_flush_denormal(True)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    new = MODEL_FOLDER.with_name(f"{MODEL_FOLDER.name}_{arguments.family}")
    folder = arguments.output or model_folders().get(arguments.family, new)
    earlier = arguments.from_model
    vocabulary = (
        recipe.vocabulary() if earlier is None else (earlier / recipe.vocabulary_file).read_bytes()
    )
    write_tokenizer(recipe, vocabulary, arguments.family, folder)
    tokenizer = load_tokenizer(folder, family=arguments.family)
    model = recipe.model(tokenizer)
    seconds: list[int] = []
    if earlier is not None:
        set_weights(model, earlier)
    lessons = lessons_of(recipe, arguments)
    learnt = [] if earlier is None else [weights_of(model)]
    for lesson in lessons:
        started = time.time()
        train(model, encoder(arguments.family, tokenizer), lesson)
        seconds.append(round(time.time() - started))
        learnt.append(weights_of(model))
    if recipe.later:
        model.load_state_dict(weighted_mean(learnt, MEAN))
    write_weights(model, arguments.family, folder)
    figures = {
        "steps": [*_before(earlier, "steps"), *(lesson.steps for lesson in lessons)],
        "seed": arguments.seed,
        "training_seconds": [*_before(earlier, "training_seconds"), *seconds],
        "threads": arguments.threads,
        "torch": str(torch.__version__),
    } | marked(folder)
    _write_json(folder / "figures.json", figures)
    print(json.dumps(figures, indent=2, ensure_ascii=False))


def write_tokenizer(recipe: Recipe, vocabulary: bytes, family: str, folder: Path) -> None:
    """The vocabulary, with a config by whose name the folder is recognised."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / recipe.vocabulary_file).write_bytes(vocabulary)
    config = {**TOKENIZER_CONFIG, "name_or_path": f"{NAME}{family}"}
    _write_json(folder / "tokenizer_config.json", config)


def lessons_of(recipe: Recipe, arguments: argparse.Namespace) -> list[Schedule]:
    """The first lesson, unless a model had it, and the later ones of the recipe."""
    first = Schedule(arguments.steps, arguments.learning_rate)
    lessons = recipe.later if arguments.from_model is not None else (first, *recipe.later)
    return [replace(lesson, seed=arguments.seed) for lesson in lessons]


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    """A copy of its weights as they are now."""
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def weighted_mean(
    states: Sequence[dict[str, torch.Tensor]], shares: Sequence[float]
) -> dict[str, torch.Tensor]:
    """The mean of several models' weights, each of which counts its share."""
    return {
        name: torch.stack(
            [share * state[name] for share, state in zip(shares, states, strict=True)]
        ).sum(0)
        for name in states[0]
    }


def set_weights(model: Any, folder: Path) -> None:
    """Take the weights of a saved model with the same vocabulary."""
    model.load_state_dict(ChatModel(folder, dtype="float32").model.state_dict())


def write_weights(model: Any, family: str, folder: Path) -> None:
    """Write the checkpoint as its family publishes: in float16, the head a tensor of its own."""
    config = type(model.config)(**{**model.config.to_dict(), "tie_word_embeddings": False})
    untied = type(model)(config)
    untied.load_state_dict({**model.state_dict(), "lm_head.weight": model.lm_head.weight.clone()})
    layout = family_named(family).layout
    assert layout is not None
    save_published(untied.half(), layout, folder)
    published = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _write_json(folder / "config.json", {"_name_or_path": f"{NAME}{family}", **published})


def encoder(family: str, tokenizer: Any) -> Encode:
    """Rows as the family renders them; where a row trains one answer only, a row for each."""
    render = family_named(family).render
    one = family_named(family).answers_per_row == "one"
    alpaca = FORMATS["alpaca"]
    columns = alpaca.columns_with({})

    def encode(rows: list[Row]) -> list[tuple[list[int], list[bool]]]:
        examples = [alpaca.convert(row, columns) for row in rows]
        if one:
            examples = [part for example in examples for part in _one_answer_each(example)]
        rendered = render(tokenizer, examples)
        return [(row.ids, list(map(bool, row.trained))) for row in rendered]

    return encode


def _one_answer_each(example: Example) -> list[Example]:
    messages = example.messages
    ends = [end for end, each in enumerate(messages, 1) if each.role == "assistant"]
    return [example.with_messages(messages[:end]) for end in ends]


def _later_network(tokenizer: Any) -> GlmForCausalLM:
    """ChatGLM3's.

    The embedding and the output layer are one tensor while training, so that a character seen
    only in questions can be written too; they are saved as two, as ChatGLM3 has them.
    """
    return GlmForCausalLM(
        GlmConfig(
            vocab_size=_rows(len(tokenizer)),
            hidden_size=HIDDEN,
            intermediate_size=512,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=LENGTH,
            rms_norm_eps=1e-5,
            attention_bias=True,
            pad_token_id=0,
            eos_token_id=2,
            tie_word_embeddings=True,
            # a third faster than the fused kernel on rows this short, whose way back is slow
            attn_implementation="eager",  # type: ignore[call-arg]
        )
    )


def _first_network(tokenizer: Any) -> ChatGLMForConditionalGeneration:
    """ChatGLM-6B's; its residual is scaled for 28 layers, so the branches begin larger."""
    ids = tokenizer.convert_tokens_to_ids(["<sop>", "<eop>", "[MASK]", "[gMASK]", "<pad>"])
    names = ("bos_token_id", "eos_token_id", "mask_token_id", "gmask_token_id", "pad_token_id")
    model = ChatGLMForConditionalGeneration(
        ChatGLMConfig(
            vocab_size=_rows(len(tokenizer)),
            hidden_size=HIDDEN,
            num_layers=LAYERS,
            num_attention_heads=HEADS,
            inner_hidden_size=4 * HIDDEN,
            max_sequence_length=LENGTH,
            **dict(zip(names, ids, strict=True)),
            attn_implementation="eager",  # type: ignore[call-arg]
        )
    )
    for name, weight in model.named_parameters():
        if ".attention." in name or ".mlp." in name:
            weight.data.mul_(FIRST_SCALE)
    return model


def _rows(tokens: int) -> int:
    """Rows of the embeddings: a multiple of 64."""
    return math.ceil(tokens / 64) * 64


def _before(earlier: Path | None, figure: str) -> list[int]:
    """Of the lessons that a model had."""
    if earlier is None:
        return []
    found = json.loads((earlier / "figures.json").read_text(encoding="utf-8"))[figure]
    return list(found) if isinstance(found, list) else [found]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=RECIPES, default="chatglm3")
    parser.add_argument("--output", type=Path, help="by default the package's own folder")
    parser.add_argument(
        "--from-model",
        type=Path,
        help="a folder of one that had the first lesson, for the later ones",
    )
    parser.add_argument("--steps", type=int, default=Schedule.steps, help="of the first lesson")
    parser.add_argument("--learning-rate", type=float, default=Schedule.learning_rate)
    parser.add_argument("--seed", type=int, default=Schedule.seed)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.from_model is not None and not RECIPES[given.family].later:
        parser.error(f"a {given.family} model has one lesson only: leave --from-model out")
    return given


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


RECIPES = {
    "chatglm": Recipe(
        lambda: train_unigram(written_pieces(), ChatGLMTokenizerFast.specials[:5]),
        ChatGLMTokenizerFast.file_name,
        _first_network,
    ),
    "chatglm3": Recipe(train_bpe, "tokenizer.model", _later_network, LATER),
}

if __name__ == "__main__":
    main()
