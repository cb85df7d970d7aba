"""Speed, memory and accuracy of models, measured on this machine."""
