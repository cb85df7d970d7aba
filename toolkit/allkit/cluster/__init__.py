"""Ten million images on many machines: Ray Data with a classifier in each worker."""
