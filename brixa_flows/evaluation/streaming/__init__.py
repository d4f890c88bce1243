"""Judging of more rows than memory holds: what is summed up instead of kept."""
