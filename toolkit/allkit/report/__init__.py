"""The results of trainings and models beside the paper, as a page and as Markdown."""
