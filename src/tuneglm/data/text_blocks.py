"""Bytes of a text file, block by block → UTF-8, whatever the file is written in.

A mark at the beginning tells UTF-8, UTF-16 and UTF-32. Without one, UTF-16 is known
by the sense it makes, and the first bytes beyond ASCII tell UTF-8 from GBK. What is not
UTF-8 is said. Bytes that fit no encoding stay in their place as bytes that are not
UTF-8, so that each reader finds them in the row where they are.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from itertools import chain

from tuneglm.data.columns import RowError
from tuneglm.errors import DataError

Say = Callable[[str], None]

BLOCK = 1 << 18
# characters of one row, or of one cell: more is a missing quote or line end, and no row
LONGEST = 1 << 26
# what the judgement of an encoding is made by
_SAMPLE = 4096

# mark → its encoding; of two that begin alike, the longer one first
_MARKS = {
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF32_LE: "UTF-32-LE",
    codecs.BOM_UTF32_BE: "UTF-32-BE",
    codecs.BOM_UTF16_LE: "UTF-16-LE",
    codecs.BOM_UTF16_BE: "UTF-16-BE",
}
# our name → Python's; GB18030 contains GBK, which contains GB2312
_CODECS = {"GBK": "gb18030"}
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
# a fifth of any Chinese text; other encodings read as Chinese give rare characters
_FREQUENT = frozenset(
    "的一是不了在有我他这為为之来以个中上大到说和地也子时你出而要于就下得可对生能"
)
# of fewer one may be frequent by chance
_FEW_HAN = 30
_USUAL = _FREQUENT | set("，。、：；？！“”（）\t\r\n") | set(map(chr, range(0x20, 0x7F)))

# escapes of bytes that fit no encoding, as Python's `surrogateescape` writes them
DAMAGE = re.compile("[\udc80-\udcff]")


def _mark_damage(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


# `surrogateescape` itself fails on bytes below 128, which UTF-16 has
codecs.register_error("tuneglm.damage", _mark_damage)


class TextBlocks(Iterator[bytes]):
    """The blocks in UTF-8 and without a mark.

    name      the file's, for messages
    head      the beginning, which is also the first of the blocks
    encoding  what the file is in, as far as it is known by now
    """

    def __init__(self, name: str, blocks: Iterator[bytes], say: Say) -> None:
        """`say` is told one sentence where the file is not UTF-8."""
        self.name = name
        self.encoding = "UTF-8"
        self._say = say
        recoded = self._started(blocks)
        self.head = next(recoded, b"")
        self._blocks = chain([self.head], recoded)

    def __next__(self) -> bytes:
        return next(self._blocks)

    def whole_lines(self) -> Iterator[bytes]:
        """The same bytes, cut only behind line ends."""
        rest: list[bytes] = []
        for block in self:
            cut = block.rfind(b"\n") + 1
            if cut:
                yield b"".join([*rest, block[:cut]])
                rest = []
            rest.append(block[cut:])
            if sum(map(len, rest)) > LONGEST:
                raise DataError(
                    f"`{self.name}` has a line of more than {LONGEST >> 20} MB.",
                    "expected one row a line, or a list [{…}, {…}]",
                )
        if any(rest):
            yield b"".join(rest)

    def damaged(self, place: str = "it holds bytes that are") -> RowError:
        """What a row is told whose bytes are not the file's encoding."""
        change = "write it as UTF-8 (iconv -f ENCODING -t UTF-8 FILE > NEW)"
        return RowError(
            f"{place} not {self.encoding}",
            f"{change if self.encoding == 'UTF-8' else 'correct it'}, or fetch it again if damaged",
            "encoding",
        )

    def _started(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        start = next(blocks, b"")
        mark = next((mark for mark in _MARKS if start.startswith(mark)), b"")
        encoding = _MARKS[mark] if mark else _utf_16(start[:_SAMPLE])
        blocks = chain([start.removeprefix(mark)], blocks)
        if encoding == "UTF-8":
            return blocks
        return self._by_content(blocks) if encoding is None else self._recoded(blocks, encoding)

    def _recoded(self, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
        self.encoding = encoding
        self._say(f"`{self.name}` is {encoding}: read as such")
        decoder = codecs.getincrementaldecoder(_CODECS.get(encoding, encoding))("tuneglm.damage")
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "surrogateescape")
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")

    def _by_content(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """ASCII is in every encoding; the first other byte and what follows it decide."""
        for block in blocks:
            beyond = None if block.isascii() else _BEYOND_ASCII.search(block)
            if beyond is None:
                yield block
                continue
            while len(block) < beyond.start() + _SAMPLE and (more := next(blocks, b"")):
                block += more
            blocks = chain([block], blocks)
            sample = block[beyond.start() : beyond.start() + _SAMPLE]
            yield from self._recoded(blocks, "GBK") if _is_gbk(sample) else blocks
            return


def _utf_16(sample: bytes) -> str | None:
    """The encoding of text without a mark, if it is UTF-16: read otherwise it has no sense."""
    if b"\0" not in sample and _decodes(sample, "utf-8"):
        return None
    for encoding in ("UTF-16-LE", "UTF-16-BE"):
        text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)
        if sum(char in _USUAL for char in text) > len(text) / 6:
            return encoding
    return None


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _is_gbk(sample: bytes) -> bool:
    """Whether bytes, the first beyond ASCII, are Chinese in GBK: not UTF-8, nor another Latin."""
    # a mark in the middle is of a UTF-8 file that was joined to this one
    if _decodes(sample, "utf-8") or codecs.BOM_UTF8 in sample:
        return False
    as_utf8 = sample.decode("utf-8", "replace")
    damaged = as_utf8.count("\ufffd")
    if sum("\u0800" <= char != "\ufffd" for char in as_utf8) > damaged:
        return False  # UTF-8 with damage
    text = codecs.getincrementaldecoder("gb18030")("replace").decode(sample)
    foreign = [char for char in text if char > "\x7f"]
    han = [char for char in foreign if "\u3400" <= char <= "\u9fff"]
    marks = sum("\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uffef" for char in foreign)
    # an accented letter takes the ASCII letter behind it for its second byte
    latin = sum(char.encode("gb18030")[1] < 0x80 for char in foreign if char != "\ufffd")
    return (
        len(han) + marks >= 0.8 * len(foreign)
        and text.count("\ufffd") <= 1 + 0.01 * len(foreign)
        and latin < 0.5 * len(foreign)
        and (_is_prose(han) or _is_common(han))
    )


def _is_prose(han: list[str]) -> bool:
    """Whether there are enough of them to know, and the most frequent ones among them."""
    return len(han) >= _FEW_HAN and sum(char in _FREQUENT for char in han) >= len(han) // 20


def _is_common(han: list[str]) -> bool:
    """Whether they are of the 3,755 that GB2312 has first, by sound, and from all over these.

    Names and lists have no word of prose. Bytes of Big5 fall elsewhere too, those of Korean into
    the first half alone, and of Russian into the last.
    """
    codes = [char.encode("gb18030") for char in han]
    common = [code[0] for code in codes if 0xB0 <= code[0] <= 0xD7 and code[1] >= 0xA1]
    early, late = sum(lead < 0xC0 for lead in common), sum(lead > 0xC8 for lead in common)
    return len(common) >= 0.85 * len(han) and min(early, late) >= 0.1 * len(han)
