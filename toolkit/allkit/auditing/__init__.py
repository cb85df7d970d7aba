"""Audit of a folder of labelled images: what an accuracy on it is worth."""
