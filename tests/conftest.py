"""For the tests of every folder, which can import the modules that lie beside this one."""

import signal
from collections.abc import Iterator

import pytest

from restoreproof import interrupts

ROUNDS, THOROUGH_ROUNDS = 10, 30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="also what takes long, and 30 rounds")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: takes long, and is asked with --thorough")
    # A shell ignores Ctrl-C for what it runs in its background, and commands inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--thorough"):
        for item in items:
            if item.get_closest_marker("thorough"):
                item.add_marker(pytest.mark.skip(reason="takes long: ask for it with --thorough"))


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How many healthy rounds under load may raise no alarm."""
    return THOROUGH_ROUNDS if request.config.getoption("--thorough") else ROUNDS


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Handlers as the command line has them, and those of pytest again in the end."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(interrupts, "_remembered", interrupts._Remembered())
    interrupts.watch()
    yield
    for one, handler in before.items():
        signal.signal(one, handler)
