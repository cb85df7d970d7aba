"""Charts on Matplotlib, in one style for files and pages."""
