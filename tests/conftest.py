"""For the tests of every folder, which can import the modules that lie beside this one."""

import pytest

ROUNDS, THOROUGH_ROUNDS = 10, 30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="also what takes long, and 30 rounds")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: takes long, and is asked with --thorough")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--thorough"):
        for item in items:
            if item.get_closest_marker("thorough"):
                item.add_marker(pytest.mark.skip(reason="takes long: ask for it with --thorough"))


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How many healthy rounds under load may raise no alarm."""
    return THOROUGH_ROUNDS if request.config.getoption("--thorough") else ROUNDS
