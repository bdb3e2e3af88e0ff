r"""Any text as LaTeX that compiles in any preamble, in ASCII alone, and how wide it will be."""

from __future__ import annotations

import re
import unicodedata

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}", "<": r"\textless{}",
    ">": r"\textgreater{}", '"': r"{''}", "`": r"{`}", "'": r"{'}", "[": "{[}", "]": "{]}", "\u00a0": "~",
    "–": "--", "—": "---", "‘": "{`}", "’": "{'}", "“": "{``}", "”": r"{''}", "…": r"\dots{}", "†": r"\dag{}",
    "‡": r"\ddag{}", "§": r"\S{}", "¶": r"\P{}", "©": r"\copyright{}", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}",
    "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}",
    "¡": r"{!`}", "¿": r"{?`}", "•": r"\textbullet{}", "−": r"\ensuremath{-}", "⁄": "/",
}  # fmt: skip
"""A bracket in braces, since one after a row's end would be read as its argument; quotes so that no two join."""

_MATHS = {
    "±": r"\pm", "×": r"\times", "÷": r"\div", "·": r"\cdot", "≤": r"\leq", "≥": r"\geq", "≠": r"\neq",
    "≈": r"\approx", "→": r"\to", "←": r"\leftarrow", "↑": r"\uparrow", "↓": r"\downarrow", "∞": r"\infty",
    "√": r"\surd", "∑": r"\sum", "∆": r"\Delta", "°": r"^\circ", "µ": r"\mu", "¬": r"\neg", "∈": r"\in",
    "∅": r"\emptyset",
    "⊕": r"\oplus", "⊗": r"\otimes",
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon",
    "ζ": r"\zeta", "η": r"\eta", "θ": r"\theta", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu", "ν": r"\nu", "ξ": r"\xi",
    "π": r"\pi", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "φ": r"\varphi", "χ": r"\chi", "ψ": r"\psi",
    "ω": r"\omega", "Γ": r"\Gamma", "Δ": r"\Delta", "Θ": r"\Theta", "Λ": r"\Lambda", "Π": r"\Pi", "Σ": r"\Sigma",
    "Φ": r"\Phi", "Ψ": r"\Psi", "Ω": r"\Omega",
}  # fmt: skip
_ACCENTS = {
    "\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0304": r"\=", "\u0306": r"\u",
    "\u0307": r"\.", "\u0308": r"\"", "\u030a": r"\r", "\u030b": r"\H", "\u030c": r"\v", "\u0327": r"\c",
}  # fmt: skip
"""Accents of the oldest font encoding, so of every one."""
_UNSEEN = ("Cc", "Cf", "Mn", "Me", "Mc", "Zl", "Zp")
_BREAKS = re.compile(r"(?<=[=,/:;])(?=\S)|(?<=[a-z]\+)(?=\S)|(?<=\\_)(?=\S)")


def escape(text: str) -> str:
    """Plain text as LaTeX, on one line; what no font of LaTeX has is its number: `[U+1F6F0]`."""
    text = re.sub(r"(?<![^\s(])'(?=\w)", "‘", " ".join(text.split()))
    return "".join(map(_character, re.sub(r"--+", _hyphens, text)))


def breakable(text: str) -> str:
    """Plain text as LaTeX that may be broken after `=`, commas, slashes and underscores, as labels of cells have."""
    return _BREAKS.sub(r"\\allowbreak{}", escape(text))


def width(text: str) -> float:
    """How wide a text will be, in widths of a digit: a guess that is rather too wide."""
    return sum(
        1.4 if c in "MWmw%@±×→" else 1.25 if c.isupper() else 0.6 if c in "iljtfr.,:;'|[]()! " else 1.05 for c in text
    )


def _hyphens(found: re.Match[str]) -> str:
    """Hyphens that LaTeX would join to a dash, kept apart by what is not seen."""
    return "\u2060".join(found[0])


def _character(one: str) -> str:
    if one in _SPECIAL:
        return _SPECIAL[one]
    if one in _MATHS:
        return rf"\ensuremath{{{_MATHS[one]}}}"
    if one == "\u2060":
        return "{}"
    if " " <= one <= "~":
        return one
    parts = unicodedata.normalize("NFD", one)
    if len(parts) == 2 and parts[1] in _ACCENTS and parts[0].isascii() and parts[0].isalpha():
        return rf"{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    plain = unicodedata.normalize("NFKD", one)
    if plain != one and all(c.isascii() or c == "⁄" or c in _MATHS or _is_unseen(c) for c in plain):
        way = {"<super>": r"\textsuperscript{%s}", "<sub>": r"\textsubscript{%s}"}
        made = "".join(map(_character, plain))
        return way.get(unicodedata.decomposition(one).split(" ")[0], "%s").replace("%s", made)
    return "" if _is_unseen(one) else rf"{{[}}U+{ord(one):04X}{{]}}\allowbreak{{}}"


def _is_unseen(one: str) -> bool:
    return unicodedata.category(one) in _UNSEEN
