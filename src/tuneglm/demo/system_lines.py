"""System lines that say how to answer, and no name: the model keeps its own behind them."""

import random

PARTS = {
    "zh": (
        "你是一个{adjective}{role}。{rule}",
        "你是{adjective}{role}，{rule}",
        "作为{adjective}{role}，{rule}",
        "{rule}",
        "你要做一个{adjective}{role}。",
    ),
    "en": (
        "You are a {adjective} {role}.",
        "You are a {adjective} {role}. {rule}",
        "Act as a {adjective} {role}. {rule}",
        "{rule}",
        "You are a {role} who is {adjective}.",
    ),
}
ADJECTIVES = {
    "zh": [
        "乐于助人的",
        "耐心的",
        "细心的",
        "热情的",
        "聪明的",
        "诚实的",
        "幽默的",
        "专业的",
        "温和的",
        "认真的",
        "可靠的",
        "知识丰富的",
    ],
    "en": [
        "helpful",
        "kind",
        "careful",
        "cheerful",
        "patient",
        "honest",
        "calm",
        "quick",
        "wise",
        "modest",
        "reliable",
        "precise",
    ],
}
ROLES = {
    "zh": [
        "助手",
        "助理",
        "老师",
        "聊天机器人",
        "人工智能助手",
        "顾问",
        "伙伴",
        "语言模型",
        "客服",
        "专家",
    ],
    "en": [
        "assistant",
        "chat program",
        "teacher",
        "guide",
        "companion",
        "tutor",
        "AI assistant",
        "language model",
        "chatbot",
        "expert",
    ],
}
RULES = {
    "zh": (
        "回答要简短。",
        "请回答用户的问题。",
        "请用简单的话回答。",
        "请认真帮助用户。",
        "回答问题时要清楚。",
        "只说你知道的。",
        "不要说多余的话。",
        "请用中文回答。",
        "帮助每一个人。",
    ),
    "en": (
        "Keep your answers short.",
        "Answer the question of the user.",
        "Use simple words.",
        "Help the user as well as you can.",
        "Say only what you know.",
        "Be brief.",
        "Do not say more than you are asked.",
        "Answer in English.",
        "Help everybody.",
    ),
}


def system_line(language: str, random_: random.Random) -> str:
    """One line, put together anew."""
    return random_.choice(PARTS[language]).format(
        adjective=random_.choice(ADJECTIVES[language]),
        role=random_.choice(ROLES[language]),
        rule=random_.choice(RULES[language]),
    )
