"""For the tests of every folder, which can import the modules that lie beside this one."""

from pathlib import Path

import pytest

END_TO_END = Path(__file__).parent / "end_to_end"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rounds", type=int, default=10, help="healthy backups under load that may raise no alarm"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell xdist which tests stay together: those of a module; end to end share one estate."""
    for item in items:
        group = "end_to_end" if END_TO_END in item.path.parents else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How many healthy rounds are wanted."""
    return int(request.config.getoption("--rounds"))
