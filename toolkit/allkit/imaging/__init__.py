"""Encoded bytes to RGB pixels: one module per format, which checks the whole file before a decoder sees it."""
