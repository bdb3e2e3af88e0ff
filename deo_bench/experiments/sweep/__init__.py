"""Sweeps: what is tuned and how, one study a cell, trials that are ordinary runs, and the best of them run anew.

A trial is a recipe with one seed: the cell's tables with the space's values laid over them. It is trained as any run,
measured on *select* splits alone, and told to its study. Once every study has spent its budget, its best trials and the
recipe as it stands are run with the experiment's seeds, which no trial used, and only these are scored on *report*.
"""
