"""Images beyond a folder: in object stores, and packed into Parquet shards."""
