"""Who answers against tuneglm: transformers' `generate`, greedily, with either kind of cache.

Each function is called in a process of its own with the address where turns are given (see
training_turns.py). Answers go on to their limit: the model's head says nothing to end tokens.
"""

from collections.abc import Sequence

from training_turns import Turns

NEW_TOKENS = 64
QUESTIONS = (
    "请介绍一下北京的秋天。",
    "What is the difference between a list and a tuple?",
    "写一首关于春天的短诗，每行不超过七个字。",
    "Explain to a child why the sky is blue, in three sentences.",
    "怎样学好一门外语？",
    "Give me a recipe for dumplings.",
    "人工智能有哪些应用？请举出三个例子，并说明各自的优点。",
    "Summarise the plot of Journey to the West.",
)


def chat(address: str, model: str, several: int, threads: int) -> None:
    """tuneglm's ChatModel: one conversation after another, or several at once."""
    _use(threads)
    from tuneglm.config import ChatConfig
    from tuneglm.generate import ChatModel

    turns = Turns(address)
    answers = ChatModel(model, dtype="float32")
    greedy = ChatConfig(temperature=0, max_new_tokens=NEW_TOKENS)
    turns.ready(answers.model)
    while True:
        for asked in _shares(several):
            conversations = [[{"role": "user", "content": question}] for question in asked]
            if several == 1:
                answers.reply(conversations[0], greedy)
            else:
                answers.padded_replies(conversations, greedy)
            turns.worked(NEW_TOKENS * len(asked))


def generate(
    address: str, model: str, prompts: list[list[int]], several: int, cache: str, threads: int
) -> None:
    """Plain transformers on the same ids, padded on the left."""
    import torch
    from transformers import AutoModelForCausalLM

    _use(threads)
    turns = Turns(address)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    turns.ready(network)
    while True:
        for start in range(0, len(prompts), several):
            rows = prompts[start : start + several]
            longest = max(len(row) for row in rows)
            ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
            mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
            made = network.generate(
                input_ids=ids,
                attention_mask=torch.tensor(mask),
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                pad_token_id=0,
                cache_implementation=cache,
            )
            turns.worked((made.shape[1] - longest) * len(rows))


def prompts_of(model: str) -> list[list[int]]:
    """The ids that ChatModel would go on from."""
    from tuneglm.models.loading import load_tokenizer, local_folder, resolved_family
    from tuneglm.models.prompt import example_of

    family = resolved_family(local_folder(model))
    tokenizer = load_tokenizer(model)
    examples = [example_of([{"role": "user", "content": text}], ()) for text in QUESTIONS]
    rendered = family.render(tokenizer, examples, generation_prompt=True)
    return [list(each.ids) for each in rendered]


def _shares(several: int) -> list[Sequence[str]]:
    return [QUESTIONS[start : start + several] for start in range(0, len(QUESTIONS), several)]


def _use(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
