"""Fingerprints: what is compared, how, and that nothing is left out."""

import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from restoreproof.fingerprint import Comparison, Comparisons, Fingerprint, Item, compare

TAKEN = datetime(2026, 7, 6, 16, 10, tzinfo=UTC)
A, B = "a" * 64, "b" * 64

ITEMS = st.lists(
    st.builds(
        Item,
        kind=st.sampled_from(["table", "view"]),
        name=st.text(max_size=3),
        count=st.none() | st.integers(0, 2**70),
        digest=st.sampled_from(["", A, B]),
    ),
    unique_by=lambda item: item.key,
    min_size=1,
    max_size=6,
)


def table(name: str = "stars", count: int | None = 3, digest: str = A, **more: Any) -> Item:
    """An item of a fingerprint."""
    return Item(kind="table", name=name, count=count, digest=digest, **more)


def taken(*items: Item, method: str = "sha256") -> Fingerprint:
    """A fingerprint of these items."""
    return Fingerprint.of(method, TAKEN, items)


def problems(found: Comparisons) -> list[str]:
    """What differs, and where."""
    return [f"{difference.name} {difference.problem}" for difference in found.differences]


def test_equal_content_is_equal() -> None:
    """The same items are the same, and all of them were looked at."""
    found = compare(taken(table(), table("moons")), taken(table("moons"), table()))

    assert found.equal
    assert found.examined == 2


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        (table(count=2), "stars another count"),
        (table(count=4), "stars another count"),
        (table(count=None), "stars another count"),
        (table(digest=B), "stars other content"),
        (table(digest=""), "stars other content"),
        (table(digest=A.upper()), "stars other content"),
    ],
)
def test_any_other_value_is_a_difference(seen: Item, problem: str) -> None:
    """A count or a digest that is not the same is a difference, and the copy is not equal."""
    found = compare(taken(table()), taken(seen))

    assert problems(found) == [problem]
    assert not found.equal


def test_missing_and_unexpected_items_are_differences() -> None:
    """What did not come back differs, and so does what was never backed up."""
    found = compare(taken(table(), table("moons")), taken(table(), table("ghosts")))

    assert problems(found) == ["ghosts was not backed up", "moons is missing"]
    assert not found.equal


def test_kind_and_name_together_identify() -> None:
    """A view is not the table of its name, and names differ by case."""
    view = Item(kind="view", name="stars", count=3, digest=A)

    assert len(compare(taken(table()), taken(view)).differences) == 2
    assert len(compare(taken(table("Stars")), taken(table("stars"))).differences) == 2


@pytest.mark.parametrize(("count", "equal"), [(2, False), (None, False), (3, True), (4, True)])
def test_at_least_wants_what_was_seen(count: int | None, equal: bool) -> None:
    """A source that moved on may give back more than was seen, never less."""
    expected = taken(table(comparison=Comparison.AT_LEAST))

    found = compare(expected, taken(table(count=count, digest=B)))

    assert found.equal is equal
    assert compare(expected, taken()).equal is False


def test_optional_may_be_there_or_not() -> None:
    """What came into being while the backup ran may have come back or not."""
    expected = taken(table(), table("young", comparison=Comparison.OPTIONAL))

    assert compare(expected, taken(table())).equal
    assert compare(expected, taken(table(), table("young", count=99, digest=B))).equal


def test_undecided_is_never_equal() -> None:
    """What could not be decided is no difference and no equality, and says why."""
    expected = taken(table(comparison=Comparison.UNDECIDED, reason="it kept changing"))

    for seen in (taken(), taken(table()), taken(table(count=0))):
        found = compare(expected, seen)
        assert found.differences == ()
        assert [item.reason for item in found.undecided] == ["it kept changing"]
        assert not found.equal


def test_nothing_is_never_equal() -> None:
    """Two fingerprints without items show nothing."""
    found = compare(taken(), taken())

    assert found.examined == 0
    assert not found.equal


def test_another_method_is_never_equal() -> None:
    """Digests of two methods say nothing of each other, however alike they look."""
    found = compare(taken(table()), taken(table(), method="md5"))

    assert problems(found) == ["method differs"]
    assert found.examined == 0
    assert not found.equal


def test_difference_is_said_in_one_line() -> None:
    """The line names item, problem, and both values, digests cut short."""
    (difference,) = compare(taken(table(count=1_000)), taken(table(count=999))).differences

    assert str(difference) == (
        f"table stars: another count (expected 1,000 {A[:16]}…, saw 999 {A[:16]}…)"
    )


def test_two_items_of_one_name_are_refused() -> None:
    """If one could hide the other, there is no fingerprint."""
    with pytest.raises(ValueError, match="same kind and name"):
        taken(table(), table(count=4))


def test_items_and_fingerprints_stay_as_they_are() -> None:
    """Nobody changes a fingerprint after it was taken, or adds what it does not know."""
    with pytest.raises(ValidationError, match="frozen"):
        table().count = 4  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        Item.model_validate({"kind": "table", "name": "stars", "rows": 3})


@given(ITEMS, st.integers())
def test_order_does_not_matter(items: list[Item], seed: int) -> None:
    """However the server lists its tables, the fingerprint and its digest are the same."""
    shuffled = list(items)
    random.Random(seed).shuffle(shuffled)  # an order, no secret

    assert taken(*items).digest == taken(*shuffled).digest
    assert compare(taken(*items), taken(*shuffled)).equal


@given(ITEMS, st.data())
def test_any_change_of_an_item_is_found(items: list[Item], data: st.DataObject) -> None:
    """Dropping one item, or changing its count or digest, is a difference and another digest."""
    index = data.draw(st.integers(0, len(items) - 1))
    one = items[index]
    change = data.draw(
        st.sampled_from([{"count": (one.count or 0) + 1}, {"digest": one.digest + "0"}, None])
    )
    changed = items[:index] + items[index + 1 :]
    if change:
        changed.append(one.model_copy(update=change))

    found = compare(taken(*items), taken(*changed))

    assert [difference.name for difference in found.differences] == [one.name]
    assert not found.equal
    assert taken(*items).digest != taken(*changed).digest


def test_digest_can_be_computed_by_others() -> None:
    """It is the SHA-256 of sorted, plain JSON without spaces, counts written as text."""
    json = (
        '[{"comparison":"equal","count":null,"digest":"","kind":"table","name":"a","reason":""},'
        '{"comparison":"at-least","count":"9007199254740993","digest":"ff","kind":"table",'
        '"name":"b","reason":"moved"}]'
    )
    big = table("b", 2**53 + 1, "ff", comparison=Comparison.AT_LEAST, reason="moved")

    digest = taken(big, table("a", None, "")).digest

    assert digest == hashlib.sha256(json.encode()).hexdigest()


def test_digest_is_of_the_content_alone() -> None:
    """The same content at another time has the same digest."""
    later = Fingerprint.of("sha256", TAKEN + timedelta(days=1), [table()])

    assert later.digest == taken(table()).digest


@given(ITEMS)
def test_fingerprint_survives_its_json(items: list[Item]) -> None:
    """What the manifest stores is what is compared after it was read back."""
    before = taken(*items)
    after = Fingerprint.model_validate_json(before.model_dump_json())

    assert after == before
    assert after.digest == before.digest
