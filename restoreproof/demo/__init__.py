"""The sample estate Agama: servers and a repository with data worth restoring."""
