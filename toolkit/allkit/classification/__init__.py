"""Folders of images into rows of CSV or JSON that a stopped job goes on with."""
