"""Accuracy, calibration and robustness of exported models on labelled images."""
