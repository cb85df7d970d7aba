"""From labelled images to a run folder. Only this room and export/ import Keras."""
