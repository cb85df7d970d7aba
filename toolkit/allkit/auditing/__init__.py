"""What stands between a folder of labelled images and an honest accuracy."""
