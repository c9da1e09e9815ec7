"""Stands here so that modules beside it can be imported by the tests of every folder."""
