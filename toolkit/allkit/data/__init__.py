"""Labelled images: where they are, how they are split, and synthetic ones to try things on."""
