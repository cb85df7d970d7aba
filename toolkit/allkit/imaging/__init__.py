"""Encoded bytes to RGB pixels: a room a format, each of which looks at the whole file before a decoder sees it."""
