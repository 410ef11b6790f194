"""What a chat template may ask about a message's text, read from the template itself.

A template that only writes a text, trims it, or looks for fixed words in it, treats
all texts alike that hold none of those words. So a conversation can be put together
from one that was rendered before (shapes.py), without asking the template again.

What is not known here to be harmless makes a template opaque: then each conversation
is rendered by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, TemplateSyntaxError, nodes

# they write a text, leave it as it is, trim it, or have to do with other things
_FILTERS = {"trim", "string", "safe", "tojson", "default", "d", "list", "items", "join"}
_TESTS = {"defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "boolean"}
_TESTS |= {"true", "false", "number", "integer", "odd", "even", "eq", "equalto", "ne"}
_TRIMS = {"strip", "lstrip", "rstrip"}
# of a text, with fixed words as arguments; of a list or a mapping
_METHODS = _TRIMS | {"split", "startswith", "endswith", "replace"}
_OTHER_METHODS = {"items", "keys", "values", "get", "append"}
# of lists that are counted and picked from: conversations, their tools and calls
_COUNTS = ("length", "count")
_LISTS = ("messages", "tools", "tool_calls", "functions", "documents")
_OPAQUE = (nodes.FilterBlock, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


@dataclass(frozen=True)
class Questions:
    """All that a template asks about texts.

    sought    words that it looks for in a text
    compared  words that it compares a text with
    edges     characters that it trims, beside white space
    trims     whether it trims at all
    """

    sought: tuple[str, ...]
    compared: frozenset[str]
    edges: str
    trims: bool

    def concern(self, text: str) -> bool:
        """Whether the template may treat a text unlike another one."""
        if not text or text.isspace():
            return True
        first, last = text[0], text[-1]
        if self.trims and (first.isspace() or last.isspace()):
            return True
        if first in self.edges or last in self.edges or text in self.compared:
            return True
        return any(word in text for word in self.sought)


class _OpaqueError(Exception):
    """The template does what is not known to be harmless."""


@lru_cache(maxsize=16)
def questions_of(source: str) -> Questions | None:
    """What a template asks about texts; None where that cannot be told."""
    # nothing is rendered with it
    environment = Environment(extensions=["jinja2.ext.loopcontrols"])
    try:
        every = list(environment.parse(source).find_all(nodes.Node))
        for node in every:
            _refuse_opaque(node)
    except (TemplateSyntaxError, _OpaqueError):
        # a tag of transformers' own is an error of syntax here
        return None
    comparisons = [node for node in every if isinstance(node, nodes.Compare)]
    calls = [node for node in every if isinstance(node, nodes.Call) and _method(node)]
    tests = [node for node in every if isinstance(node, nodes.Test)]
    trims = [call for call in calls if _method(call) in _TRIMS]
    sought = {text for node in comparisons if _is_search(node) for text in _texts([node.expr])}
    sought |= {text for call in calls if call not in trims for text in _texts(call.args)}
    compared = {text for node in comparisons for text in _texts(_operands(node))}
    compared |= {text for test in tests for text in _texts(test.args)}
    # a text that is gone through may be compared character by character
    sought |= {text for text in compared if len(text) == 1}
    filters = {node.name for node in every if isinstance(node, nodes.Filter)}
    edges = "".join(text for call in trims for text in _texts(call.args))
    return Questions(
        tuple(sorted(sought - {""})), frozenset(compared), edges, bool(trims) or "trim" in filters
    )


def _refuse_opaque(node: nodes.Node) -> None:
    match node:
        case nodes.Filter(name=name):
            harmless = name in _FILTERS or (name in _COUNTS and _is_list(node.node))
        case nodes.Test(name=name):
            harmless = name in _TESTS
        case nodes.Getitem():
            harmless = _takes_no_character(node)
        case nodes.Call():
            method = _method(node)
            harmless = not method or method in _OTHER_METHODS or _is_told(method, node)
        case nodes.Compare():
            harmless = not _is_search(node) or _is_fixed(node)
        case _:
            harmless = not isinstance(node, _OPAQUE)
    if not harmless:
        raise _OpaqueError


def _is_told(method: str, call: nodes.Call) -> bool:
    """Whether a text's method is called with fixed texts alone."""
    fixed = len(_texts(call.args))
    if method in _TRIMS:
        return fixed == len(call.args)
    # `split(word, 1)`; without a word it would split at white space
    needed = 1 if method == "split" else len(call.args)
    return method in _METHODS and fixed == max(1, needed)


def _is_search(node: nodes.Compare) -> bool:
    return any(operand.op in ("in", "notin") for operand in node.ops)


def _is_fixed(node: nodes.Compare) -> bool:
    """Whether a word is looked for that is written out, or one of a written list is."""
    lists = all(isinstance(each, nodes.List | nodes.Tuple) for each in _operands(node)[1:])
    return isinstance(node.expr, nodes.Const) or lists


def _operands(node: nodes.Compare) -> list[nodes.Expr]:
    return [node.expr, *(operand.expr for operand in node.ops)]


def _takes_no_character(node: nodes.Getitem) -> bool:
    """Whether it takes a field of a mapping, an entry of a list, a part of a split text."""
    if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return True
    is_split = isinstance(node.node, nodes.Call) and _method(node.node) == "split"
    return is_split or _is_list(node.node)


def _is_list(node: nodes.Node | None) -> bool:
    match node:
        case nodes.Name(name=name) | nodes.Getattr(attr=name):
            return name.endswith(_LISTS)
        case nodes.Getitem(arg=nodes.Const(value=str(name))):
            return name.endswith(_LISTS)
    return False


def _method(call: nodes.Call) -> str:
    return call.node.attr if isinstance(call.node, nodes.Getattr) else ""


def _texts(expressions: Iterable[nodes.Expr]) -> list[str]:
    """Texts that are written out in expressions."""
    every = [
        const
        for each in expressions
        for const in ([each] if isinstance(each, nodes.Const) else each.find_all(nodes.Const))
    ]
    return [const.value for const in every if isinstance(const.value, str)]
