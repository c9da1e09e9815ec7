"""Faults in a chain: in its binary logs, in their order, and in what never stood in them."""

from collections.abc import Sequence

import pytest
from mysql_bench import UNLOGGED, Bench, Verdict, content, instead, same

from mysql_faults.tables import CHAIN_FAULTS
from restoreproof.damage_binlog import LOGS, rewrite_logs
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup


@pytest.mark.parametrize("name", CHAIN_FAULTS)
def test_a_fault_in_the_logs_is_seen(
    bench: Bench, chain: Sequence[StoredBackup], matrix: dict[str, Verdict], name: str
) -> None:
    """Hashes and names are right, and replaying complains of next to nothing: still it is seen."""
    copy = bench.copy()
    for change in CHAIN_FAULTS[name]:
        rewrite_logs(copy, same(copy.vault, chain[-1]), change)

    verdict = matrix[name] = bench.verdict(copy.vault, chain[-1])

    assert verdict.found
    assert verdict.failed_in in ("replay", "")


def test_increments_applied_twice_change_nothing(
    bench: Bench, chain: Sequence[StoredBackup], matrix: dict[str, Verdict]
) -> None:
    """A transaction has its name: given a second time it is passed over, and content is equal."""
    with bench.restored(bench.vault, chain[-1]) as attempt:
        assert attempt.restored is not None, attempt.failure
        assert attempt.manifest is not None
        bench.engine.replay(attempt.restored, to_restore(chain[-1], attempt.manifest))
        assert attempt.comparison.equal
    matrix["increments applied twice"] = Verdict()


def test_an_increment_in_place_of_another_is_seen(
    bench: Bench, chain: Sequence[StoredBackup], matrix: dict[str, Verdict]
) -> None:
    """The increment before, stored under the name of the last, ends too early."""
    copy = bench.copy()
    first, last = (same(copy.vault, link) for link in chain)
    rewrite_logs(copy, last, instead(content(first, LOGS)))

    verdict = matrix["increment applied twice for the next"] = bench.verdict(copy.vault, last)

    assert verdict.failed_in == "replay"
    assert "transactions are missing" in verdict.failure


def test_a_base_without_a_position_bears_no_increment(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict]
) -> None:
    """Nobody could say what an increment on it holds, so none is made."""
    copy = bench.copy()
    copy.restate(same(copy.vault, full), position="", facts={"databases": "", "accounts": "yes"})

    result = bench.job(same(copy.vault, full))

    matrix["base without position"] = Verdict("job", result.problem)
    assert result.backup is None
    assert result.problem


def test_changes_outside_the_binary_log_are_seen(
    bench: Bench, chain: Sequence[StoredBackup], matrix: dict[str, Verdict]
) -> None:
    """What was written with sql_log_bin=0 is in no increment, and the comparison says where."""
    bench.server.run(UNLOGGED, "INSERT INTO shop.received VALUES (99, 'secret')")
    try:
        increment = bench.store(chain[-1])
        verdict = matrix["writes outside the binary log"] = bench.verdict(bench.vault, increment)
    finally:
        bench.server.run(UNLOGGED, "DELETE FROM shop.received WHERE id = 99")

    assert verdict.short == ("table shop.received: another count",)
