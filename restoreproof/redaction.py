"""Keeps secrets out of everything that is printed or stored, whoever put them there.

Secrets never enter our own texts. Other programs' words might hold one all the same, so every
secret that was revealed is remembered here and replaced wherever such words are kept.
"""

MASK = "[secret]"
SHORTEST = 4
"""Replacing shorter secrets would garble every text and hide nothing."""

_secrets: set[str] = set()


def remember(secret: str) -> None:
    """Replace this secret from now on."""
    if len(secret) >= SHORTEST:
        _secrets.add(secret)


def redact(text: str) -> str:
    """The text without any secret that is remembered."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
