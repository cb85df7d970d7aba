"""Labelled images: scanning, splits, duplicates, baselines, and synthetic smears."""
