"""One classifier for many callers at once."""
