"""The fault catalogue of MySQL: each fault is done to a backup, and the finding is shown."""
