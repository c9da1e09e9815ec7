"""Mends pyHanko's rules for past time, for a CA that answers OCSP itself and has no delegate.

They give such an answer a path on which the CA stands twice, and ask for proof that the second one
was not revoked: of a root nobody can give that. Of a CA that signed a revocation list they ask no
such thing, since it is looked at as a part of the path at hand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pyhanko_certvalidator.authority import AuthorityWithCert
from pyhanko_certvalidator.ltv import time_slide
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.revinfo.validate_ocsp import OCSPCollectionResult

NAME = "collect_relevant_responses_with_paths"


@contextmanager
def mended() -> Iterator[None]:
    """Have pyHanko go by it until the block ends."""
    collect = getattr(time_slide, NAME)

    async def collected(*arguments: Any, **more: Any) -> OCSPCollectionResult:
        found = await collect(*arguments, **more)
        answers = [replace(one, prov_path=_standing_once(one.prov_path)) for one in found.responses]
        return OCSPCollectionResult(answers, found.failure_msgs)

    setattr(time_slide, NAME, collected)
    try:
        yield
    finally:
        setattr(time_slide, NAME, collect)


def _standing_once(path: ValidationPath) -> ValidationPath:
    """A path on which who answered stands once, if he is the one who issued."""
    *above, issuer = path.iter_authorities()
    if not isinstance(issuer, AuthorityWithCert) or issuer.certificate.dump() != path.last.dump():
        return path
    return path.copy_and_drop_leaf() if above else ValidationPath(path.trust_anchor, [], None)
