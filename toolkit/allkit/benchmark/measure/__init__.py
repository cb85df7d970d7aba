"""Measuring models: latency, throughput, accuracy, start-up, memory and energy."""
