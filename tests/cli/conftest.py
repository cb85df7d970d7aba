from classified import folder, many

__all__ = ["folder", "many"]
