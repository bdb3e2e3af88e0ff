"""Figures for print: one file a kind; each takes what it shows and gives a matplotlib figure."""
