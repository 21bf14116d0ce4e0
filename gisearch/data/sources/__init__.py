"""Readers, one file per upstream format."""
