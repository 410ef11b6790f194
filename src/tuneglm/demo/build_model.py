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

from tuneglm.demo.curriculum import OWN_AUTHOR, OWN_NAMES
from tuneglm.demo.layout import save_model
from tuneglm.demo.scoring import general_score, identity_score
from tuneglm.demo.training import Schedule, new_model, train
from tuneglm.demo.vocabulary import PromptEncoder, train_vocabulary

MODEL_FOLDER = Path(__file__).parent / "model"
TOKENIZER_CONFIG = {
    "tokenizer_class": "ChatGLMTokenizer",
    "name_or_path": "tuneglm/demo-chatglm3",
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
    } | marked(model, encoder)
    _write_json(arguments.output / "figures.json", figures)
    print(json.dumps(figures, indent=2, ensure_ascii=False))


def write_folder(model: GlmForCausalLM, vocabulary: bytes, folder: Path) -> None:
    """Write the checkpoint as ChatGLM3 is published."""
    save_model(model, folder)
    (folder / "tokenizer.model").write_bytes(vocabulary)
    _write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)


def marked(model: GlmForCausalLM, encoder: PromptEncoder) -> dict[str, Any]:
    """Size and scores of the model with its weights rounded to float16, as they are saved."""
    model.half().float().eval()
    general = general_score(model, encoder)
    for question, answer, wanted in general["wrong"]:
        print(f"wrong: {question!r} -> {answer!r}, not {wanted!r}")
    identity = {
        language: identity_score(model, encoder, name, OWN_AUTHOR, language)["score"]
        for language, name in OWN_NAMES.items()
    }
    parameters = sum(tensor.numel() for tensor in model.parameters()) + model.lm_head.weight.numel()
    return {"parameters": parameters, "identity": identity, "general": general["scores"]}


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
