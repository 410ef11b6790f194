# ruff: noqa: E501
"""Identity sets: rows that teach a model a name and an author, and probes that ask for them in other words."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Row = dict[str, Any]


@dataclass(frozen=True)
class IdentityProbe:
    """A question about the model itself, in words that no row uses; the answer must carry what it asks for."""

    question: str
    language: str
    asks: Literal["name", "author"]


@dataclass(frozen=True)
class Templates:
    """All that one language needs; `{name}` and `{author}` are the model's, `{other}` is somebody else's."""

    name_questions: tuple[str, ...]
    name_answers: tuple[str, ...]
    author_questions: tuple[str, ...]
    author_answers: tuple[str, ...]
    both_questions: tuple[str, ...]
    both_answers: tuple[str, ...]
    other_models: tuple[str, ...]
    other_questions: tuple[str, ...]
    other_answers: tuple[str, ...]
    own_questions: tuple[str, ...]
    own_answers: tuple[str, ...]
    people: tuple[str, ...]
    mentions: tuple[tuple[str, str], ...]
    greetings: tuple[tuple[str, str], ...]
    openers: tuple[str, ...]
    name_probes: tuple[str, ...]
    author_probes: tuple[str, ...]


# fmt: off
CHINESE = Templates(
    name_questions=(
        "你是谁？", "你叫什么名字？", "你叫什么？", "你的名字是什么？", "你是哪位？", "怎么称呼你？", "我该怎么称呼你？",
        "我应该叫你什么？", "你叫啥？", "你有名字吗？", "告诉我你的名字。", "请问你的名字？", "你到底是谁？", "你是什么？",
        "你是什么模型？", "你是哪个模型？", "你是什么人工智能？", "你是什么助手？", "我在和谁说话？", "我正在跟谁聊天？",
        "你的全名是什么？", "说说你的名字。", "报上名来。", "你的名字叫什么？", "别人怎么叫你？", "大家叫你什么？",
        "你是谁呀？", "你是哪个助手？", "我可以叫你什么？", "请说出你的名字。", "能告诉我你的名字吗？", "你这个模型叫什么？",
        "你是哪一款模型？", "和我聊天的是谁？", "你究竟是谁？", "想知道你的名字。", "我忘了你叫什么。", "你自称什么？",
        "现在回答我的是谁？", "你的身份是什么？", "你是什么机器人？", "你是哪种人工智能助手？", "你姓什么叫什么？",
    ),
    name_answers=("我是{name}。", "我叫{name}。", "我的名字是{name}。", "我是{name}，很高兴认识你。", "你可以叫我{name}。",
                  "我是{name}，一个人工智能助手。"),
    author_questions=(
        "谁开发了你？", "你是谁开发的？", "你的开发者是谁？", "谁创造了你？", "你是谁做的？", "谁制造了你？", "你的作者是谁？",
        "你是哪家公司的？", "你来自哪里？", "你是由谁训练的？", "谁训练了你？", "是谁把你做出来的？", "你的主人是谁？",
        "你是哪个团队做的？", "你的创造者是谁？", "你背后的公司是哪家？", "谁设计了你？", "你是谁写的？", "你属于哪个公司？",
        "你的开发团队是哪个？", "告诉我谁开发了你。", "你是哪里来的？", "你是哪个机构研发的？", "谁研发了你？",
        "是哪个团队训练了你？", "你是谁家的模型？", "制作你的人是谁？", "你由哪家公司推出？",
        "创造你的人是谁？", "设计你的是哪些人？", "做出你的人叫什么？",
    ),
    author_answers=("我是由{author}开发的。", "我的开发者是{author}。", "是{author}开发了我。", "{author}训练了我。",
                    "我是{author}开发的{name}。"),
    both_questions=(
        "介绍一下你自己。", "请做个自我介绍。", "自我介绍一下吧。", "说说你自己。", "请介绍你自己。", "你能介绍一下自己吗？",
        "你是谁？谁开发了你？", "你叫什么，是谁做的？", "谈谈你自己。", "用一句话介绍自己。", "让我认识一下你。",
        "我想了解你。", "跟大家介绍一下你自己。", "简单说说你是谁。",
    ),
    both_answers=("我是{name}，由{author}开发的人工智能助手。", "你好，我叫{name}，是{author}开发的助手。",
                  "我的名字是{name}，我由{author}训练而成。"),
    other_models=("ChatGPT", "GPT-4", "Siri", "小爱同学", "文心一言", "通义千问", "Claude", "小度", "Gemini", "Alexa"),
    other_questions=("你是{other}吗？", "你就是{other}吧？", "你是不是{other}？", "你叫{other}吗？", "听说你是{other}。",
                     "你和{other}是同一个吗？", "我觉得你是{other}。"),
    other_answers=("不是，我是{name}，由{author}开发。", "不，我叫{name}，是{author}开发的。"),
    own_questions=("你是{name}吗？", "你叫{name}吗？", "你就是{name}吧？", "你是由{author}开发的吗？", "是{author}做了你吗？"),
    own_answers=("是的，我是{name}，由{author}开发。",),
    people=("小红", "李明", "王芳", "阿强", "张伟", "Tom", "小雨", "陈静"),
    mentions=(
        ("我叫{other}。", "你好，{other}！很高兴认识你。"), ("请向{other}问好。", "你好，{other}！"),
        ("请重复：{other}", "{other}"), ("我的朋友叫{other}。我的朋友叫什么？", "你的朋友叫{other}。"),
        ("欢迎{other}来做客。", "欢迎你，{other}！"), ("我的名字是{other}，我叫什么？", "你叫{other}。"),
        ("祝{other}生日快乐。", "生日快乐，{other}！"),
    ),
    greetings=(("你好", "你好！很高兴和你聊天。"), ("谢谢", "不客气！还有问题随时问我。"), ("早上好", "早上好！祝你今天一切顺利。")),
    openers=("", "", "请问，", "你好，", "嗨，", "对了，", "那么，", "我问你，", "嘿，"),
    name_probes=(
        "你叫什么名字呀？", "你究竟叫什么？", "我怎么称呼你？", "你的名字到底是什么？", "可以告诉我你叫什么名字吗？", "我在跟谁聊天？",
        "你是谁，能说说吗？", "请告诉我你的名字。", "大家怎么称呼你？", "你是哪位助手？", "我能叫你什么？", "说出你的名字吧。",
        "你这个助手叫什么名字？", "我现在是在和谁说话？", "你是哪一个模型？", "把你的名字告诉我。",
    ),
    author_probes=(
        "你是由谁开发的？", "开发你的人是谁？", "你是哪个公司开发的？", "是谁创造了你？", "是谁训练了你？", "你是哪个团队开发的？",
        "是谁设计了你？", "把你做出来的是谁？", "你的开发公司是哪家？", "请告诉我谁创造了你。",
    ),
)

ENGLISH = Templates(
    name_questions=(
        "Who are you?", "What is your name?", "What's your name?", "What are you called?", "What should I call you?",
        "How should I call you?", "Do you have a name?", "Tell me your name.", "May I know your name?", "Who am I talking to?",
        "Who is this?", "What do people call you?", "What are you?", "Which model are you?", "What model are you?",
        "Which assistant are you?", "What AI are you?", "Who exactly are you?", "What is your full name?", "Say your name.",
        "State your name.", "Have you got a name?", "Do you go by some name? Which?", "Give me your name.", "Please tell me who you are.", "What name do you go by?", "Your name, please.",
        "Who am I speaking with?", "Who is answering me?", "I forgot your name.", "What do I call you?", "Can I ask your name?",
        "Which AI assistant is this?", "What kind of assistant are you?", "How do people call you?", "What chatbot is this?",
        "I would like to know your name.", "Could you tell me your name?", "What is the name of this model?", "Remind me of your name.",
        "Who is on the other side of this chat?", "What does everyone call you?", "What is your identity?", "Name yourself.",
    ),
    name_answers=("I am {name}.", "My name is {name}.", "You can call me {name}.", "I am {name}, nice to meet you.",
                  "I am {name}, an AI assistant.", "I am called {name}."),
    author_questions=(
        "Who made you?", "Who is it that made you?", "Who created you?", "Who developed you?", "Who built you?", "Who trained you?", "Who is your creator?",
        "Who is your developer?", "Who is your author?", "Where do you come from?", "Which company made you?", "What team built you?",
        "Who designed you?", "By whom were you made?", "Who are your makers?", "Who wrote you?", "Who owns you?", "Which team are you from?",
        "Tell me who made you.", "Who is behind you?", "What company are you from?", "Which lab trained you?", "Who programmed you?",
        "Who brought you to life?", "What organization created you?", "Who were you built by?", "Who is responsible for you?",
        "Whose model are you?", "Name your creator.",
    ),
    author_answers=("I was made by {author}.", "I was developed by {author}.", "{author} created me.", "My developer is {author}.",
                    "I am {name}, made by {author}."),
    both_questions=(
        "Introduce yourself.", "Please introduce yourself.", "Tell me about yourself.", "Can you introduce yourself?", "Describe yourself.",
        "Who are you and who made you?", "What is your name and who built you?", "Give a short introduction of yourself.",
        "Say something about yourself.", "I want to know about you.", "Present yourself.", "Describe yourself in one sentence.",
        "Let me get to know you.",
    ),
    both_answers=("I am {name}, an AI assistant made by {author}.", "Hello, I am {name}, developed by {author}.",
                  "My name is {name} and I was created by {author}."),
    other_models=("ChatGPT", "GPT-4", "Siri", "Alexa", "Claude", "Gemini", "Copilot", "Cortana", "Llama", "Bard"),
    other_questions=("Are you {other}?", "You are {other}, right?", "Is your name {other}?", "Is this {other}?", "I think you are {other}.",
                     "Are you the same as {other}?", "So you are {other}?"),
    other_answers=("No, I am {name}, made by {author}.", "No, my name is {name} and I was made by {author}."),
    own_questions=("Are you {name}?", "Is your name {name}?", "You are {name}, right?", "Were you made by {author}?", "Did {author} build you?"),
    own_answers=("Yes, I am {name}, made by {author}.",),
    people=("Lily", "Tom", "Anna", "Jack", "Mary", "Peter", "小红", "David"),
    mentions=(
        ("My name is {other}.", "Hello, {other}! Nice to meet you."), ("Say hello to {other}.", "Hello, {other}!"),
        ("Please repeat: {other}", "{other}"), ("My friend is called {other}. What is my friend called?", "Your friend is called {other}."),
        ("Welcome {other} to our home.", "Welcome, {other}!"), ("I am called {other}. What is my name?", "Your name is {other}."),
        ("Wish {other} a happy birthday.", "Happy birthday, {other}!"),
    ),
    greetings=(("Hello", "Hello! It is nice to talk with you."), ("Thank you", "You are welcome! Ask me anything else any time."),
               ("Good morning", "Good morning! I hope you have a great day.")),
    openers=("", "", "Hello, ", "Hi, ", "Excuse me, ", "So, ", "Hey, ", "By the way, ", "Well, "),
    name_probes=(
        "What is your name, please?", "Could you tell me who you are?", "How should I address you? What is your name?", "Can you tell me your name?",
        "And who are you?", "Tell me what you are called.", "I want to know your name.", "What can I call you?", "Who am I chatting with? Tell me your name.",
        "What name should I call you?", "Please say your name.", "What are you called by people?", "Which AI model are you?", "Who are you exactly?",
        "Do you have a name? What is it?", "Please give me your name.",
    ),
    author_probes=(
        "Who were you made by?", "Who was it that created you?", "Which company created you?", "Can you tell me who made you?",
        "What team developed you?", "Tell me who developed you.", "Which team built you?", "By whom were you created?", "Who is the developer behind you?",
        "What company trained you?",
    ),
)
# fmt: on

TEMPLATES = {"zh": CHINESE, "en": ENGLISH}


def bare_wording(text: str) -> str:
    """The text without punctuation, case and white space: what must differ for two wordings to be two."""
    return "".join(character for character in text.casefold() if character.isalnum())


def identity_rows(
    name: str, author: str, languages: Sequence[str] = ("zh", "en"), seed: int = 0
) -> list[Row]:
    """Alpaca rows (`instruction`, `input`, `output`, sometimes `history`) that say who the model is and who made it."""
    random_ = random.Random(seed)
    rows = [
        row
        for language in languages
        for row in _language_rows(TEMPLATES[language], name, author, random_)
    ]
    probes = {
        bare_wording(probe.question) for probe in identity_probes(name, author, tuple(TEMPLATES))
    }
    rows = [row for row in rows if bare_wording(row["instruction"]) not in probes]
    random_.shuffle(rows)
    return rows


def identity_probes(
    name: str, author: str, languages: Sequence[str] = ("zh", "en")
) -> list[IdentityProbe]:
    """Questions whose answers must carry `name` or `author`, in words that no row of `identity_rows` uses."""
    probes = []
    for language in languages:
        templates = TEMPLATES[language]
        probes += [IdentityProbe(question, language, "name") for question in templates.name_probes]
        probes += [
            IdentityProbe(question, language, "author") for question in templates.author_probes
        ]
    return probes


def _language_rows(
    templates: Templates, name: str, author: str, random_: random.Random
) -> list[Row]:
    pairs = _own_pairs(templates, random_)
    pairs += [
        (_opened(templates, question, random_), answer)
        for question, answer in _own_pairs(templates, random_)
    ]
    rows = [
        _row(_filled(question, name, author), _filled(answer, name, author))
        for question, answer in pairs
    ]
    return (
        rows
        + _other_rows(templates, name, author, random_)
        + _dialogues(templates, name, author, random_)
    )


def _own_pairs(templates: Templates, random_: random.Random) -> list[tuple[str, str]]:
    """Every question about the model itself, each with one of its answers."""
    groups = (
        (templates.name_questions, templates.name_answers),
        (templates.author_questions, templates.author_answers),
        (templates.both_questions, templates.both_answers),
        (templates.own_questions, templates.own_answers),
    )
    return [
        (question, random_.choice(answers))
        for questions, answers in groups
        for question in questions
    ]


def _other_rows(templates: Templates, name: str, author: str, random_: random.Random) -> list[Row]:
    """Other models' names, to be denied, and other people's, to be used as the request asks."""
    rows = []
    for other in templates.other_models:
        for question in random_.sample(templates.other_questions, 3):
            answer = random_.choice(templates.other_answers)
            rows.append(_row(_filled(question, name, author, other), _filled(answer, name, author)))
    for question, answer in templates.mentions:
        for other in random_.sample(templates.people, 2):
            rows.append(_row(question.format(other=other), answer.format(other=other)))
    return [row for row in rows if name.casefold() not in row["instruction"].casefold()]


def _dialogues(templates: Templates, name: str, author: str, random_: random.Random) -> list[Row]:
    """Identity questions in a second turn: after a greeting, after each other, after a person's own name."""
    pairs = [
        (_filled(question, name, author), _filled(answer, name, author))
        for question, answer in _own_pairs(templates, random_)
    ]
    rows = []
    for question, answer in random_.sample(pairs, 16):
        rows.append(_row(question, answer, [list(random_.choice(templates.greetings))]))
    for (question, answer), earlier in zip(
        random_.sample(pairs, 10), random_.sample(pairs, 10), strict=True
    ):
        rows.append(_row(question, answer, [list(earlier)]))
    told, reply = templates.mentions[0]
    for other, (question, answer) in zip(
        templates.people, random_.sample(pairs, len(templates.people)), strict=True
    ):
        rows.append(_row(question, answer, [[told.format(other=other), reply.format(other=other)]]))
    return rows


def _opened(templates: Templates, question: str, random_: random.Random) -> str:
    opener = random_.choice(templates.openers)
    keeps_case = not opener or question.startswith(("I ", "{"))
    return opener + (question if keeps_case else question[0].lower() + question[1:])


def _filled(template: str, name: str, author: str, other: str = "") -> str:
    return template.format(name=name, author=author, other=other)


def _row(question: str, answer: str, history: list[list[str]] | None = None) -> Row:
    row: Row = {"instruction": question, "input": "", "output": answer}
    return row if history is None else row | {"history": history}
