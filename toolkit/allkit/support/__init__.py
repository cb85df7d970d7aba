"""Shared by every package: files, locks, names, typed JSON, CSV, text, processor counts."""
