"""Loads the audit's pytest side, so that ``pytest suites --policy POLICY`` works in a checkout."""

pytest_plugins = ["restoreproof.plugin"]
