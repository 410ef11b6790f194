"""`tuneglm data show --html`: the same rows as a page that needs nothing beside itself."""

from collections.abc import Sequence
from html import escape

from tuneglm.data.encoded import Encoded
from tuneglm.data.show import Decode, header, shown_pieces

# (trained, special) → the class of its style, and its name in the legend
_CLASSES: dict[tuple[bool, bool], tuple[str, str]] = {
    (True, False): ("trained", "trained"),
    (True, True): ("trained special", "trained special token"),
    (False, False): ("context", "context"),
    (False, True): ("special", "special token"),
}
_STYLE = """
:root { color-scheme: light dark; --page: #f7f7f5; --sheet: #fff; --text: #1c1c1a; --faint: #6b6b66;
  --line: #e2e2dc; --trained: #0b5c2a; --trained-back: #d9f2e0; --special: #1b4d9b;
  --special-back: #e3ecfb; }
@media (prefers-color-scheme: dark) { :root { --page: #161615; --sheet: #1f1f1d; --text: #ecece6;
  --faint: #9c9c94; --line: #35352f; --trained: #a6ecbb; --trained-back: #12391f;
  --special: #aecbff; --special-back: #1b2c4d; } }
body { margin: 0 auto; padding: 2rem 1rem; max-width: 60rem; background: var(--page);
  color: var(--text); font: 16px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .5rem; }
.legend { position: sticky; top: 0; padding: .5rem 0; background: var(--page);
  color: var(--faint); font-size: .85rem; }
.legend span { margin-right: .75rem; }
article { margin: 1rem 0; background: var(--sheet); border: 1px solid var(--line);
  border-radius: 6px; }
h2 { margin: 0; padding: .5rem 1rem; border-bottom: 1px solid var(--line); font-size: .8rem;
  font-weight: normal; color: var(--faint); overflow-wrap: anywhere; }
pre { margin: 0; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font: .9rem/1.7 ui-monospace, "Cascadia Mono", "Noto Sans Mono CJK SC", monospace; }
.context { color: var(--faint); }
.trained { background: var(--trained-back); color: var(--trained); }
.special { background: var(--special-back); color: var(--special); border-radius: 3px; }
.trained.special { background: var(--trained-back); color: var(--trained); font-weight: bold;
  outline: 1px solid currentColor; outline-offset: -1px; }
"""


def page_of(rows: Sequence[Encoded], decode: Decode, title: str) -> str:
    """A page of HTML with the rows; `decode` turns ids into text and leaves special tokens in."""
    legend = "\n".join(f'<span class="{kind}">{name}</span>' for kind, name in _CLASSES.values())
    articles = "\n".join(_article(number, row, decode) for number, row in enumerate(rows, 1))
    return f"""<!doctype html>
<html lang="und">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="legend">{legend}
<span>⏎ a line break</span></p>
{articles}
</body>
</html>
"""


def _article(number: int, row: Encoded, decode: Decode) -> str:
    spans = "".join(
        f'<span class="{_CLASSES[kind][0]}">{escape(text)}</span>'
        for kind, text in shown_pieces(row, decode)
    )
    return f"<article>\n<h2>{escape(header(number, row))}</h2>\n<pre>{spans}</pre>\n</article>"
