"""Random names of every script: what teaches the model to carry any name, if need be in bytes."""

import random
from functools import cache

STARTS = (
    "B",
    "C",
    "D",
    "F",
    "G",
    "H",
    "J",
    "K",
    "L",
    "M",
    "N",
    "P",
    "R",
    "S",
    "T",
    "V",
    "W",
    "Z",
    "Br",
    "Ch",
    "Cl",
    "Dr",
    "Fl",
    "Gr",
    "Kr",
    "Pl",
    "Pr",
    "Qu",
    "Sh",
    "Sk",
    "St",
    "Th",
    "Tr",
    "Wh",
    "",
)
VOWELS = ("a", "e", "i", "o", "u", "y", "ai", "ea", "ee", "ia", "ie", "io", "oa", "oo", "ou", "au")
ENDS = (
    "",
    "",
    "",
    "b",
    "ck",
    "d",
    "ff",
    "g",
    "l",
    "ll",
    "m",
    "n",
    "nd",
    "ng",
    "nt",
    "r",
    "rd",
    "rn",
    "s",
    "sh",
    "ss",
    "st",
    "t",
    "th",
    "x",
    "z",
)
GROUPS_EN = (
    "Labs",
    "Lab",
    "Studio",
    "Team",
    "University",
    "Group",
    "Research",
    "Institute",
    "Systems",
    "AI",
    "Technologies",
    "Company",
    "Works",
    "School",
    "Inc.",
    "Collective",
    "Society",
    "Club",
)
GROUPS_ZH = (
    "实验室",
    "工作室",
    "团队",
    "大学",
    "公司",
    "研究院",
    "科技",
    "小组",
    "研究所",
    "学院",
    "集团",
    "中心",
    "社",
)
TITLES = (
    "Mr.",
    "Dr.",
    "Mrs.",
    "Captain",
    "Little",
    "Big",
    "Super",
    "Old",
    "The",
    "Lady",
    "Professor",
)
SURNAMES_ZH = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋"
    "郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏"
)
PARTS_ZH = "小阿大老"
OTHER_SCRIPTS = (
    (0x3400, 0x4DB5),
    (0x4E00, 0x9FA5),
    (0x0400, 0x044F),
    (0x3041, 0x3093),
    (0xAC00, 0xD7A3),
    (0x00C0, 0x017E),
    (0x0391, 0x03C9),
    (0x1F600, 0x1F64F),
)


@cache
def common_hanzi() -> str:
    """The 3755 characters of GB 2312's first level, read off the code itself."""
    rows = range(0xB0, 0xD8)
    codes = (bytes((row, cell)) for row in rows for cell in range(0xA1, 0xFF))
    return "".join(code.decode("gb2312", errors="ignore") for code in codes)


def latin_word(random_: random.Random) -> str:
    """A made-up word of one to four syllables."""
    syllables = random_.choice((1, 2, 2, 2, 3, 3, 4))
    word = "".join(
        random_.choice(STARTS).lower() + random_.choice(VOWELS) + random_.choice(ENDS)
        for _ in range(syllables)
    )
    return word.capitalize() if random_.random() < 0.85 else random_.choice((word, word.upper()))


def scrambled_word(random_: random.Random) -> str:
    """Letters and digits without any pattern."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    letters = letters + letters.upper() + "0123456789"
    return "".join(random_.choice(letters) for _ in range(random_.randint(2, 8)))


def rare_word(random_: random.Random) -> str:
    """A few characters outside the vocabulary, which the tokenizer cuts into bytes."""
    first, last = random_.choice(OTHER_SCRIPTS[:2] + OTHER_SCRIPTS)
    return "".join(chr(random_.randint(first, last)) for _ in range(random_.randint(1, 3)))


def hanzi_word(random_: random.Random) -> str:
    """One to four common characters."""
    length = random_.choice((1, 2, 2, 2, 3, 3, 4))
    return "".join(random_.choice(common_hanzi()) for _ in range(length))


def latin_name(random_: random.Random) -> str:
    """One to three words, sometimes with a title, an apostrophe, a hyphen or a number."""
    word = scrambled_word(random_) if random_.random() < 0.12 else latin_word(random_)
    shape = random_.random()
    if shape < 0.5:
        return word
    if shape < 0.65:
        return f"{word} {latin_word(random_)}"
    if shape < 0.72:
        return f"{random_.choice(TITLES)} {word}"
    if shape < 0.78:
        return f"{word}-{random_.choice((latin_word(random_), str(random_.randint(0, 999))))}"
    if shape < 0.84:
        return f"{random_.choice(('O', 'D', 'Mc', 'L'))}'{word}"
    if shape < 0.92:
        return f"{word}{random_.choice(('', ' ', '_', '.'))}{random_.randint(0, 999)}"
    return f"{latin_word(random_)} {latin_word(random_)} {latin_word(random_)}"


def chinese_name(random_: random.Random) -> str:
    """Common characters, a person's name, a nickname, now and then characters cut into bytes."""
    shape = random_.random()
    if shape < 0.55:
        return hanzi_word(random_)
    if shape < 0.75:
        return random_.choice(SURNAMES_ZH) + "".join(
            random_.choices(common_hanzi(), k=random_.randint(1, 2))
        )
    if shape < 0.85:
        return random_.choice(PARTS_ZH) + random_.choice(common_hanzi())
    return rare_word(random_)


def random_name(random_: random.Random, language: str) -> str:
    """A name as a speaker of `language` might meet it: mostly in that language's script."""
    own_script = random_.random() < 0.75
    return chinese_name(random_) if own_script == (language == "zh") else latin_name(random_)


def random_author(random_: random.Random, language: str) -> str:
    """A team's, a school's or a person's name."""
    name = random_name(random_, language)
    if random_.random() < 0.25:
        return name
    return (
        name + random_.choice(GROUPS_ZH)
        if language == "zh"
        else f"{name} {random_.choice(GROUPS_EN)}"
    )
