# ruff: noqa: E501
"""Generated exercises: arithmetic with small numbers, and names that are told and asked back."""

import random
from dataclasses import dataclass

from tuneglm.demo.names import random_name

LARGEST_TERM = 20
LARGEST_FACTOR = 10


@dataclass(frozen=True)
class Sum:
    """One small calculation."""

    first: int
    sign: str
    second: int

    @property
    def result(self) -> int:
        """What it comes to."""
        return {
            "+": self.first + self.second,
            "-": self.first - self.second,
            "×": self.first * self.second,
        }[self.sign]

    @property
    def answer(self) -> str:
        """The one form of answer."""
        return f"{self.first} {self.sign} {self.second} = {self.result}"


def all_sums() -> list[Sum]:
    """Every sum and difference of numbers to 20 that is not negative, and the multiplication table to 10."""
    terms, factors = range(LARGEST_TERM + 1), range(LARGEST_FACTOR + 1)
    additions = [Sum(first, "+", second) for first in terms for second in terms]
    subtractions = [
        Sum(first, "-", second) for first in terms for second in terms if second <= first
    ]
    return (
        additions
        + subtractions
        + [Sum(first, "×", second) for first in factors for second in factors]
    )


# fmt: off
SUM_WORDINGS = {
    "zh": {
        "+": ("{a}加{b}等于多少", "{a}+{b}等于多少", "{a}+{b}=?", "计算 {a} + {b}", "{a}加上{b}是多少", "{a}加{b}得几", "算一算{a}+{b}",
              "{a}与{b}的和是多少", "{a}加{b}等于几", "{a} + {b} 是多少", "求{a}加{b}的结果"),
        "-": ("{a}减{b}等于多少", "{a}-{b}等于多少", "{a}-{b}=?", "计算 {a} - {b}", "{a}减去{b}是多少", "{a}减{b}得几", "算一算{a}-{b}",
              "{a}与{b}的差是多少", "{a}减{b}等于几", "{a} - {b} 是多少", "求{a}减{b}的结果"),
        "×": ("{a}乘{b}等于多少", "{a}×{b}等于多少", "{a}×{b}=?", "计算 {a} × {b}", "{a}乘以{b}是多少", "{a}乘{b}得几", "算一算{a}×{b}",
              "{a}与{b}的积是多少", "{a}乘{b}等于几", "{a} * {b} 是多少", "求{a}乘{b}的结果"),
    },
    "en": {
        "+": ("What is {a} plus {b}?", "What is {a} + {b}?", "{a} + {b} = ?", "Calculate {a} + {b}.", "How much is {a} plus {b}?", "Add {a} and {b}.",
              "{a} plus {b} is what?", "What is the sum of {a} and {b}?", "What do you get if you add {a} and {b}?", "{a}+{b}=", "Compute {a} plus {b}."),
        "-": ("What is {a} minus {b}?", "What is {a} - {b}?", "{a} - {b} = ?", "Calculate {a} - {b}.", "How much is {a} minus {b}?", "Subtract {b} from {a}.",
              "{a} minus {b} is what?", "What is the difference of {a} and {b}?", "What do you get if you take {b} from {a}?", "{a}-{b}=", "Compute {a} minus {b}."),
        "×": ("What is {a} times {b}?", "What is {a} × {b}?", "{a} × {b} = ?", "Calculate {a} × {b}.", "How much is {a} times {b}?", "Multiply {a} by {b}.",
              "{a} times {b} is what?", "What is the product of {a} and {b}?", "What do you get if you multiply {a} by {b}?", "{a}*{b}=", "Compute {a} times {b}."),
    },
}

SUM_HELD_OUT = {
    "zh": {
        "+": ("求{a}+{b}等于多少", "{a}加上{b}得多少", "帮我算算{a}加{b}"),
        "-": ("求{a}-{b}等于多少", "{a}减去{b}得多少", "帮我算算{a}减{b}"),
        "×": ("求{a}×{b}等于多少", "{a}乘以{b}得多少", "帮我算算{a}乘{b}"),
    },
    "en": {
        "+": ("Tell me what {a} plus {b} is.", "Compute the sum of {a} and {b}.", "How much do you get if you add {a} and {b}?"),
        "-": ("Tell me what {a} minus {b} is.", "Compute the difference of {a} and {b}.", "How much do you get if you take {b} from {a}?"),
        "×": ("Tell me what {a} times {b} is.", "Compute the product of {a} and {b}.", "How much do you get if you multiply {a} by {b}?"),
    },
}

# fmt: on


@dataclass(frozen=True)
class NameTask:
    """A turn that tells the name `{x}` (and `{y}`), and the answer that carries it; `told` goes before, as a turn."""

    asked: str
    answer: str
    told: tuple[str, str] | None = None


MEETING_ZH = ("我叫{x}。", "你好，{x}！很高兴认识你。")
MEETING_EN = ("My name is {x}.", "Hello, {x}! Nice to meet you.")

# fmt: off
NAME_TASKS = {
    "zh": (
        NameTask("我叫{x}。", "你好，{x}！很高兴认识你。"), NameTask("我是{x}。", "你好，{x}！很高兴认识你。"), NameTask("我的名字是{x}。", "你好，{x}！很高兴认识你。"),
        NameTask("你好，我叫{x}，很高兴认识你。", "你好，{x}！很高兴认识你。"), NameTask("叫我{x}吧。", "你好，{x}！很高兴认识你。"),
        NameTask("请重复：{x}", "{x}"), NameTask("重复“{x}”", "{x}"), NameTask("跟我说：{x}", "{x}"), NameTask("把“{x}”说一遍", "{x}"), NameTask("请说：{x}", "{x}"),
        NameTask("请重复：{x}，{y}", "{x}，{y}"), NameTask("跟我念：{x}和{y}", "{x}和{y}"),
        NameTask("请向{x}问好。", "你好，{x}！"), NameTask("跟{x}打个招呼。", "你好，{x}！"), NameTask("欢迎{x}来做客。", "欢迎你，{x}！"), NameTask("祝{x}生日快乐。", "生日快乐，{x}！"),
        NameTask("我的朋友叫{x}。我的朋友叫什么？", "你的朋友叫{x}。"), NameTask("我的猫叫{x}。我的猫叫什么名字？", "你的猫叫{x}。"), NameTask("我家的狗叫{x}，它叫什么？", "你的狗叫{x}。"),
        NameTask("我的名字是{x}，我叫什么？", "你叫{x}。"), NameTask("我叫{x}，我是谁？", "你叫{x}。"), NameTask("这家公司叫{x}。公司叫什么名字？", "公司叫{x}。"),
        NameTask("老师叫{x}，学生叫{y}。老师叫什么？", "老师叫{x}。"), NameTask("老师叫{x}，学生叫{y}。学生叫什么？", "学生叫{y}。"),
        NameTask("{x}喜欢{y}。谁喜欢{y}？", "{x}喜欢{y}。"), NameTask("这幅画是{x}画的。谁画了这幅画？", "{x}画了这幅画。"), NameTask("{x}开发了{y}。谁开发了{y}？", "{x}开发了{y}。"),
        NameTask("我叫什么名字？", "你叫{x}。", MEETING_ZH), NameTask("我叫什么？", "你叫{x}。", MEETING_ZH), NameTask("我是谁？", "你叫{x}。", MEETING_ZH),
        NameTask("还记得我的名字吗？", "你叫{x}。", MEETING_ZH), NameTask("你知道我叫什么吗？", "你叫{x}。", MEETING_ZH), NameTask("说出我的名字。", "你叫{x}。", MEETING_ZH),
    ),
    "en": (
        NameTask("My name is {x}.", "Hello, {x}! Nice to meet you."), NameTask("I am {x}.", "Hello, {x}! Nice to meet you."), NameTask("Hello, I am called {x}.", "Hello, {x}! Nice to meet you."),
        NameTask("Hi, my name is {x}, nice to meet you.", "Hello, {x}! Nice to meet you."), NameTask("You can call me {x}.", "Hello, {x}! Nice to meet you."),
        NameTask("Please repeat: {x}", "{x}"), NameTask("Repeat \"{x}\".", "{x}"), NameTask("Say: {x}", "{x}"), NameTask("Repeat after me: {x}", "{x}"), NameTask("Please say \"{x}\".", "{x}"),
        NameTask("Please repeat: {x}, {y}", "{x}, {y}"), NameTask("Say after me: {x} and {y}", "{x} and {y}"),
        NameTask("Say hello to {x}.", "Hello, {x}!"), NameTask("Greet {x}.", "Hello, {x}!"), NameTask("Welcome {x} to our home.", "Welcome, {x}!"), NameTask("Wish {x} a happy birthday.", "Happy birthday, {x}!"),
        NameTask("My friend is called {x}. What is my friend called?", "Your friend is called {x}."), NameTask("My cat is {x}. What is the name of my cat?", "Your cat is called {x}."),
        NameTask("I have a dog called {x}. What is my dog called?", "Your dog is called {x}."), NameTask("I am called {x}. What is my name?", "Your name is {x}."), NameTask("My name is {x}. Who am I?", "Your name is {x}."),
        NameTask("This company is called {x}. What is the company called?", "The company is called {x}."),
        NameTask("The teacher is {x} and the student is {y}. Who is the teacher?", "The teacher is {x}."), NameTask("The teacher is {x} and the student is {y}. Who is the student?", "The student is {y}."),
        NameTask("{x} likes {y}. Who likes {y}?", "{x} likes {y}."), NameTask("This picture was painted by {x}. Who painted it?", "{x} painted this picture."), NameTask("{x} made {y}. Who made {y}?", "{x} made {y}."),
        NameTask("What is my name?", "Your name is {x}.", MEETING_EN), NameTask("Who am I?", "Your name is {x}.", MEETING_EN), NameTask("What am I called?", "Your name is {x}.", MEETING_EN),
        NameTask("Do you remember my name?", "Your name is {x}.", MEETING_EN), NameTask("Do you know my name?", "Your name is {x}.", MEETING_EN), NameTask("Say my name.", "Your name is {x}.", MEETING_EN),
    ),
}

NAME_HELD_OUT = {
    "zh": ("请跟我重复：{x}", "你好，我是{x}。", "请把“{x}”重复一遍", "请跟{x}打招呼。", "我朋友的名字是{x}。我的朋友叫什么名字？"),
    "en": ("Please repeat after me: {x}", "Hello, my name is {x}.", "Please say: {x}", "Please say hello to {x}.", "My friend is {x}. What is the name of my friend?"),
}

NAMES_ASKED = {
    "zh": ("星河", "李晓明", "云上书院", "阿布", "Aurora", "龘靐", "北斗", "小满"),
    "en": ("Aurora", "Tom Baker", "O'Neil", "Zenith-7", "Marigold", "星河", "Blue Fox", "Quentin"),
}

# fmt: on


def name_row(random_: random.Random, language: str) -> dict[str, object]:
    """One name task with names made up for it."""
    task = random_.choice(NAME_TASKS[language])
    names = {"x": random_name(random_, language), "y": random_name(random_, language)}
    row: dict[str, object] = {
        "instruction": task.asked.format(**names),
        "input": "",
        "output": task.answer.format(**names),
    }
    if task.told is not None:
        row["history"] = [[turn.format(**names) for turn in task.told]]
    return row
