"""Run folders: settings, recipe, history and record of a training. Loads no Keras."""
