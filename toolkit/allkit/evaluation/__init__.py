"""What an exported model is worth on labelled images."""
