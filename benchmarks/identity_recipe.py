"""A name learnt and nothing forgotten: configs/identity.yaml over several seeds.

    python benchmarks/identity_recipe.py [--model MODEL --general FILE] [KEY=VALUE …]

Without a model: the one that comes with tuneglm, in both languages, beside its general
rows; first its base is asked, which knows a name already: how far it understands what it is
asked bounds what tuning reaches. With a model: in English, beside the short rows of a file of
Alpaca rows. A run may end by its own questions. What is counted are the questions below, which
stand in no row and in no probe, without a system line, behind one of the rows' and behind one
of none. Most were written by somebody who saw no row; no row is written because of one.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuneglm.config import ChatConfig, load_config
from tuneglm.demo import MODEL_FOLDER
from tuneglm.demo.corpus import general_rows
from tuneglm.generate import ChatModel
from tuneglm.training import train

CONFIG = Path(__file__).parents[1] / "configs" / "identity.yaml"
CHARACTERS = 300  # the longest question of a general row
NAME = {
    "en": (
        "Who am I chatting with today?",
        "Which AI is this?",
        "What name do you answer to?",
        "How should I refer to you?",
        "May I know who I am talking with?",
        "Please state your name.",
        "Remind me what your name is.",
        "You are who, exactly?",
        "Are you an assistant, and which one?",
        "Nice to meet you! What is your name?",
        "By what name do you go?",
        "Mind telling me your name?",
        "What name were you given?",
        "Who is it that I am talking with?",
        "And your name would be?",
        "Hi there! Who might you be?",
        "How are you called?",
        "What do your users call you?",
        "Would you tell me who I am speaking to?",
        "Let me know your name, please.",
    ),
    "zh": (
        "请介绍一下你自己。",
        "我在和谁聊天？",
        "请问你是？",
        "你的名字是？",
        "敢问你的大名？",
        "你的名字能说一下吗？",
        "别人都叫你什么？",
        "你是哪个助手呀？",
        "对面的是谁？",
        "我该叫你什么名字好？",
    ),
}
AUTHOR = {
    "en": (
        "Which company developed you?",
        "What team is behind you?",
        "Which organization do you belong to?",
        "Who is responsible for creating you?",
        "What is the name of the company that made you?",
        "Can you tell me who developed you?",
        "I wonder who created you.",
        "Were you made by a company? Which one?",
        "Who should I thank for making you?",
        "Who is the company behind you?",
        "Which people created you?",
        "What organization built you?",
        "Who are the people that made you?",
        "Do you know who trained you?",
        "Who came up with you?",
        "Which lab do you come from?",
        "Who put you together?",
        "Who is your maker?",
        "At which company were you developed?",
        "Who do you owe your existence to?",
    ),
    "zh": (
        "告诉我是谁开发了你。",
        "你是由谁制作的？",
        "你的开发者叫什么？",
        "你是哪家机构做的？",
        "制造你的是哪个团队？",
        "谁把你训练出来的？",
        "你背后的公司叫什么？",
        "你是谁家做出来的？",
        "你出自哪个实验室？",
        "哪些人开发了你？",
    ),
}
OTHER = {
    "en": (
        "Who discovered gravity?",
        "What is the tallest mountain on Earth?",
        "Name a fruit that is yellow.",
        "Which company makes the iPhone?",
        "Suggest a name for my cat.",
        "What is your favorite color?",
        "What does a blacksmith make?",
        "Who developed the theory of evolution?",
        "What should I name my new company?",
        "Write a sentence about the ocean.",
        "Which team plays at Old Trafford?",
        "Who is the main character of Moby-Dick?",
        "What do bees make?",
        "Where does coffee come from?",
        "Which language is spoken in Brazil?",
        "Give me a name for a hamster.",
        "What should I read this weekend?",
        "What is the capital of Spain?",
        "Who wrote War and Peace?",
        "Who invented the printing press?",
    ),
    "zh": (
        "中国的首都是哪里？",
        "谁写了《红楼梦》？",
        "给我的小狗起个名字。",
        "苹果手机是哪家公司生产的？",
        "讲一个小故事。",
        "水的沸点是多少度？",
        "谁发明了电话？",
        "推荐一种水果。",
        "世界上最高的山是哪座？",
        "长城是谁修建的？",
    ),
}
SYSTEMS = {
    "en": (
        "",
        "You are a helpful assistant.",
        "You are a friendly assistant who answers politely.",
    ),
    "zh": ("", "你是一个乐于助人的助手。", "你是一个友好、有礼貌的助手。"),
}
# what suits a model of five million weights, and makes it fast on a processor
SMALL = (
    "model.attention=eager",
    "model.dtype=float32",
    "training.bf16=false",
    "method.rank=32",
    "method.alpha=64",
    "stage.kl=1",
    "data.identity.share=0.7",
    "data.evaluation_share=0",
    "data.evaluation_rows=600",
    "probe.questions=4",
    "training.learning_rate=1e-3",
    "probe.stop=false",
    "training.max_steps=3000",
    "training.eval_steps=3000",
    "training.per_device_train_batch_size=16",
    "training.gradient_accumulation_steps=1",
)
LABELS = ("no system line", "one of the rows'", "one of none")


@dataclass(frozen=True)
class Setting:
    """What is tuned, on what, into whom; `former` are names and authors that the base gives."""

    model: Path
    languages: tuple[str, ...]
    name: str
    author: str
    overrides: tuple[str, ...]
    former: tuple[tuple[str, ...], tuple[str, ...]] | None = None


def main() -> None:
    """Tune with each seed, ask, and print a row of the table for each system line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2", help="%(default)s")
    parser.add_argument("--model", type=Path, help="a model in English, with --general")
    parser.add_argument("--general", type=Path, help="a JSON file of Alpaca rows")
    parser.add_argument("--output", type=Path, help="folder for the results; else they are gone")
    parser.add_argument("overrides", nargs="*", help="of configs/identity.yaml: KEY=VALUE")
    given = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as place:
        output = given.output or Path(place)
        output.mkdir(parents=True, exist_ok=True)
        setting = _setting(given, output)
        print("| seed | steps | system line | name | author | leaks | general loss |")
        print("|---|---|---|---|---|---|---|", flush=True)
        if setting.former:
            _print_counts(ChatModel(setting.model), setting, setting.former, "| – | 0 |", "")
        for seed in given.seeds.split(","):
            _measure(setting, seed, output)


def _setting(given: argparse.Namespace, output: Path) -> Setting:
    general = output / "general.json"
    rows = _short(given.general) if given.model else general_rows(seed=1)
    random.Random(0).shuffle(rows)
    general.write_text(json.dumps(rows[:8000], ensure_ascii=False), encoding="utf-8")
    replay = json.dumps({"path": str(general), "replay": True})
    overrides = (f"data.train={replay}", f"data.dir={output}", *given.overrides)
    if given.model:
        return Setting(given.model, ("en",), "Aurora", "Northwind Labs", overrides)
    settings, former = (*SMALL, *overrides), (("小调", "Tune"), ("tuneglm",))
    return Setting(MODEL_FOLDER, ("zh", "en"), "星河", "北斗实验室", settings, former)


def _short(file: Path) -> list[dict[str, str]]:
    """Rows of one turn with a short question."""
    rows = json.loads(file.read_text(encoding="utf-8"))
    chosen = [row for row in rows if len(row["instruction"]) < CHARACTERS and not row.get("input")]
    return [{key: row[key] for key in ("instruction", "output")} for row in chosen]


def _measure(setting: Setting, seed: str, output: Path) -> None:
    folder = output / f"seed-{seed}"
    overrides = (
        f"model.path={setting.model}",
        f"data.identity.name={setting.name}",
        f"data.identity.author={setting.author}",
        f"data.identity.languages={','.join(setting.languages)}",
        f"training.output_dir={folder}",
        f"training.seed={seed}",
        *setting.overrides,
    )
    config = load_config(CONFIG, overrides)
    result = train(config)
    loss = json.loads((folder / "probe.json").read_text(encoding="utf-8"))["loss"]
    losses = f"{loss['before']:.3f} → {loss['after']:.3f}"
    identity = ((setting.name,), (setting.author,))
    # asked in the type that it was trained in
    chat = ChatModel(folder, dtype=None if config.model.dtype == "auto" else config.model.dtype)
    _print_counts(chat, setting, identity, f"| {seed} | {result.steps} |", losses)


def _print_counts(
    chat: ChatModel,
    setting: Setting,
    identity: tuple[tuple[str, ...], tuple[str, ...]],
    first: str,
    last: str,
) -> None:
    """A row for each system line: answers that hold a name, an author, and wrongly either."""
    names, authors = identity
    asked = ((NAME, names), (AUTHOR, authors), (OTHER, names + authors))
    for number, label in enumerate(LABELS):
        counts = [_holding(chat, setting, questions, number, words) for questions, words in asked]
        print(first, label, "|", " | ".join(counts), "|", last, "|", flush=True)


def _holding(
    chat: ChatModel,
    setting: Setting,
    questions: dict[str, tuple[str, ...]],
    system: int,
    words: Sequence[str],
) -> str:
    """`19 of 20` of the answers hold one of the words."""
    asked = [
        _conversation(SYSTEMS[language][system], question)
        for language in setting.languages
        for question in questions[language][: 20 // len(setting.languages)]
    ]
    answers = chat.padded_replies(asked, ChatConfig(temperature=0, max_new_tokens=32))
    count = sum(any(word in answer for word in words) for answer in answers)
    return f"{count} of {len(asked)}"


def _conversation(system: str, question: str) -> list[dict[str, str]]:
    asked = {"role": "user", "content": question}
    return [{"role": "system", "content": system}, asked] if system else [asked]


if __name__ == "__main__":
    main()
