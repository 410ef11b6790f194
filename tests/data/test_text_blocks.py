"""Which encoding a file is in: told by what is in it, and never taken for another."""

import random

import pytest

from tuneglm.data.text_blocks import BLOCK, TextBlocks

CHINESE = "你好，请介绍一下自己。我是一个人工智能助手，很高兴为你服务！不知道这是什么，也可以问我。"
ENGLISH = 'instruction,output\n"What is it?","It is a test."\n' * 20


def decoded(data: bytes, size: int = BLOCK) -> tuple[str, bytes]:
    """(encoding, the text in UTF-8)"""
    notes = list[str]()
    blocks = (data[start : start + size] for start in range(0, len(data), size))
    text = TextBlocks("my.csv", blocks, notes.append)
    content = b"".join(text)
    assert bool(notes) == (text.encoding != "UTF-8")
    return text.encoding, content


@pytest.mark.parametrize("size", [5000, 5001, BLOCK])
@pytest.mark.parametrize("encoding", ["GBK", "UTF-16-LE", "UTF-16-BE", "UTF-8"])
@pytest.mark.parametrize(
    "text", [CHINESE + "\n", "问,答\n你,好\n", ENGLISH * 100 + CHINESE, CHINESE * 300 + ENGLISH]
)
def test_an_encoding_is_recognised_wherever_it_shows(text: str, encoding: str, size: int) -> None:
    assert decoded(text.encode(encoding), size) == (encoding, text.encode())


def test_a_character_that_stands_across_blocks_is_whole() -> None:
    text = "x" * (BLOCK - 1) + CHINESE
    for encoding in ("GBK", "UTF-8"):
        assert decoded(text.encode(encoding)) == (encoding, text.encode())


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "naïve café, garçon, über, Ärger, señor\n" * 10),
        ("cp1252", "“Quoted” – it’s his naïveté…\n" * 10),
        ("cp1251", "Привет, как дела? Это проверка.\n" * 10),
        ("koi8-r", "Столица России,Москва\nПривет,Здравствуйте\n"),
        ("euc-kr", "대한민국수도,서울특별시입니다\n"),
        ("euc-kr", "안녕하세요, 이것은 시험입니다. 잘 부탁드립니다.\n" * 10),
        ("euc-jp", "これはテストです。よろしくお願いします。\n" * 10),
        ("shift-jis", "これはテストです。よろしくお願いします。\n" * 10),
        ("big5", "這是一個測試，請問你叫什麼名字？我不知道他說的話是真的還是假的。\n" * 10),
    ],
)
def test_other_encodings_are_not_taken_for_gbk(encoding: str, text: str) -> None:
    """They are left as they are, for each row to say that it is not UTF-8."""
    data = text.encode(encoding)
    assert decoded(data) == ("UTF-8", data)


@pytest.mark.parametrize(
    "text",
    [
        "四川省省会？,成都\n广东省省会？,广州\n",
        "春风送暖,秋雨添凉\n",
        "类型#裤*版型#宽松,物流太慢\n",
    ],
)
def test_lists_and_names_in_gbk_are_recognised(text: str) -> None:
    """Which hold no word of prose."""
    assert decoded(text.encode("gbk")) == ("GBK", text.encode())


def test_traditional_chinese_in_gbk_is_recognised() -> None:
    text = "這是一個測試，請問你叫什麼名字？我不知道他說的話是真的還是假的。\n" * 3
    assert decoded(text.encode("gbk")) == ("GBK", text.encode())


def test_damage_does_not_change_what_a_file_is() -> None:
    """A zero byte, or a few bytes overwritten, in any text of some length."""
    draw = random.Random(0)
    for _ in range(200):
        text = draw.choice([CHINESE * 3, ENGLISH, ENGLISH + CHINESE])
        data = bytearray(text.encode())
        for _ in range(3):
            data[draw.randrange(len(data))] = draw.choice([0, 0xFF, 0xC4])
        assert decoded(bytes(data)) == ("UTF-8", bytes(data))


@pytest.mark.parametrize("encoding", ["GBK", "UTF-16-LE"])
def test_bytes_that_fit_no_encoding_stay_bytes_that_are_not_utf_8(encoding: str) -> None:
    data = CHINESE.encode(encoding)
    bad = b"\xff" if encoding == "GBK" else b"\x00\xd8"
    found, content = decoded(data + bad + "。\n".encode(encoding) + data)
    assert found == encoding
    assert content == f"{CHINESE}".encode() + b"\xff" + f"。\n{CHINESE}".encode()
