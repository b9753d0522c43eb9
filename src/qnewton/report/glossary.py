"""Terms of the field, explained where a page first uses them and in a list at its end."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from markupsafe import Markup, escape


@dataclass(frozen=True)
class Term:
    """A term.

    Attributes:
        key: Its name in the page's markup.
        term: The term.
        meaning: What it means, in a sentence or two.
        marks: Regular expressions of the words that stand for it.
    """

    key: str
    term: str
    meaning: str
    marks: tuple[str, ...]


@cache
def terms() -> tuple[Term, ...]:
    """Return all terms, in the order of ``templates/glossary.toml``."""
    text = files("qnewton.report").joinpath("templates/glossary.toml").read_text(encoding="utf-8")
    return tuple(
        Term(key, term["term"], " ".join(term["meaning"].split()), tuple(term["marks"]))
        for key, term in tomllib.loads(text).items()
    )


class Explainer:
    """Marks the first use of each term in the texts of one page, in the order they are asked for.

    A marked term is a button, so that keyboard and finger reach it, which opens its meaning beside
    it.

    Example:
        >>> explain = Explainer()
        >>> print(explain("κ is 3"))  # doctest: +ELLIPSIS
        <button type="button" class="term" aria-expanded="false" aria-controls="term-kappa">κ\
</button><span class="meaning" id="term-kappa" hidden>...</span> is 3
        >>> print(explain("κ is 4, and 2 < 3"))
        κ is 4, and 2 &lt; 3
        >>> print(explain("run `qnewton calibrate`"))
        run <code>qnewton calibrate</code>
    """

    def __init__(self) -> None:
        self._left = list(terms())

    def __call__(self, text: str) -> Markup:
        """Return a text as markup, with the terms that were not met before explained."""
        found = [
            (match.start(), match.end(), term)
            for term in self._left
            if (match := re.search("|".join(term.marks), text))
        ]
        # Longest first where two begin together; what begins within another waits for its next use.
        found.sort(key=lambda mark: (mark[0], -mark[1]))
        parts, end = [], 0
        for start, stop, term in found:
            if start >= end:
                parts += [escape(text[end:start]), _explained(text[start:stop], term)]
                self._left.remove(term)
                end = stop
        marked = Markup("").join([*parts, escape(text[end:])])
        return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(marked)))


def _explained(words: str, term: Term) -> Markup:
    return Markup(
        '<button type="button" class="term" aria-expanded="false" aria-controls="term-{key}">'
        '{words}</button><span class="meaning" id="term-{key}" hidden>{meaning}</span>'
    ).format(key=term.key, words=words, meaning=term.meaning)
