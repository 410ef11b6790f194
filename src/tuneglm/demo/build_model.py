"""Build the demo model from nothing: vocabulary, training, published folder, figures.

Run `python -m tuneglm.demo.build_model`; two CPU cores need about half an hour.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from transformers import GlmForCausalLM

from tuneglm.demo import MODEL_FOLDER
from tuneglm.demo.curriculum import OWN_AUTHOR, OWN_NAMES
from tuneglm.demo.scoring import general_score, greedy, identity_score
from tuneglm.demo.training import Schedule, new_model, train
from tuneglm.demo.vocabulary import PromptEncoder, train_vocabulary
from tuneglm.generate import ChatModel
from tuneglm.models import family_named
from tuneglm.models.published import save_published

FAMILY = family_named("chatglm3")
NAME = "tuneglm/demo-chatglm3"  # by it the folder is recognised
TOKENIZER_CONFIG = {
    "tokenizer_class": "ChatGLMTokenizer",
    "name_or_path": NAME,
    "remove_space": False,
    "do_lower_case": False,
    "model_max_length": 512,
    "padding_side": "left",
}


def main() -> None:
    """Build, save and mark the model."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    arguments.output.mkdir(parents=True, exist_ok=True)
    vocabulary = train_vocabulary()
    encoder = PromptEncoder(vocabulary)
    schedule = Schedule(
        steps=arguments.steps, learning_rate=arguments.learning_rate, seed=arguments.seed
    )
    model, started = new_model(arguments.seed), time.time()
    train(model, encoder, schedule)
    seconds = round(time.time() - started)
    write_folder(model, vocabulary, arguments.output)
    figures = {
        "steps": schedule.steps,
        "seed": schedule.seed,
        "training_seconds": seconds,
        "threads": arguments.threads,
        "torch": str(torch.__version__),
    } | marked(arguments.output)
    _write_json(arguments.output / "figures.json", figures)
    print(json.dumps(figures, indent=2, ensure_ascii=False))


def write_folder(model: GlmForCausalLM, vocabulary: bytes, folder: Path) -> None:
    """Write the checkpoint as its family publishes: two embedding tensors, float16."""
    config = type(model.config)(**{**model.config.to_dict(), "tie_word_embeddings": False})
    untied = GlmForCausalLM(config)
    untied.load_state_dict({**model.state_dict(), "lm_head.weight": model.lm_head.weight.clone()})
    assert FAMILY.layout is not None
    save_published(untied.half(), FAMILY.layout, folder)
    published = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _write_json(folder / "config.json", {"_name_or_path": NAME, **published})
    (folder / "tokenizer.model").write_bytes(vocabulary)
    _write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)


def marked(folder: Path) -> dict[str, Any]:
    """Size and scores of the model as it was saved."""
    chat = ChatModel(folder, dtype="float32")
    ask = greedy(chat)
    general = general_score(ask)
    for question, answer, wanted in general.wrong:
        print(f"wrong: {question!r} -> {answer!r}, not {wanted!r}")
    return {
        "parameters": chat.model.num_parameters(),
        "identity": {
            language: round(identity_score(ask, name, OWN_AUTHOR, [language]).share(), 4)
            for language, name in OWN_NAMES.items()
        },
        "general": {group: round(general.share(group), 4) for group in sorted(general.marks)},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--steps", type=int, default=Schedule.steps)
    parser.add_argument("--learning-rate", type=float, default=Schedule.learning_rate)
    parser.add_argument("--seed", type=int, default=Schedule.seed)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
