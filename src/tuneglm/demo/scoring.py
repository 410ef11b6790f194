"""Ask the demo model its probes and count what it gets right."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from tuneglm.data.identity import identity_probes
from tuneglm.demo.corpus import general_probes, is_right
from tuneglm.demo.vocabulary import PromptEncoder

NEW_TOKENS = 64


@torch.inference_mode()
def answers(model: Any, encoder: PromptEncoder, questions: Sequence[str]) -> list[str]:
    """The greedy answer to each question, asked alone, of a model that has `generate`."""
    by_length: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
    for place, question in enumerate(questions):
        prompt = encoder.prompt({"instruction": question})
        by_length[len(prompt)].append((place, prompt))
    config = GenerationConfig(
        max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=encoder.stops, pad_token_id=0
    )
    texts = [""] * len(questions)
    for length, group in by_length.items():
        prompts = torch.tensor([prompt for _, prompt in group])
        outputs = model.generate(
            input_ids=prompts, attention_mask=torch.ones_like(prompts), generation_config=config
        )
        for (place, _), ids in zip(group, outputs[:, length:].tolist(), strict=True):
            texts[place] = encoder.text(ids)
    return texts


def general_score(model: Any, encoder: PromptEncoder) -> dict[str, Any]:
    """The share of right answers per language and per topic, and every wrong answer."""
    probes = general_probes()
    marks: dict[str, list[bool]] = defaultdict(list)
    wrong = []
    for probe, answer in zip(
        probes, answers(model, encoder, [probe.question for probe in probes]), strict=True
    ):
        right = is_right(answer, probe)
        marks[probe.language].append(right)
        marks[f"{probe.language}/{probe.topic}"].append(right)
        if not right:
            wrong.append((probe.question, answer, probe.accepted[0]))
    return {
        "scores": {key: round(sum(values) / len(values), 4) for key, values in marks.items()},
        "wrong": wrong,
    }


def identity_score(
    model: Any, encoder: PromptEncoder, name: str, author: str, language: str
) -> dict[str, Any]:
    """The share of identity probes whose answers carry the name or the author that they ask for."""
    probes = identity_probes(name, author, (language,))
    wanted = {"name": name, "author": author}
    pairs = zip(probes, answers(model, encoder, [probe.question for probe in probes]), strict=True)
    wrong = [
        (probe.question, answer, wanted[probe.asks])
        for probe, answer in pairs
        if wanted[probe.asks] not in answer
    ]
    return {"score": round(1 - len(wrong) / len(probes), 4), "wrong": wrong}
