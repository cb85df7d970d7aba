"""What every package uses: files, locks, names, typed JSON, CSV, text, processor counts."""
