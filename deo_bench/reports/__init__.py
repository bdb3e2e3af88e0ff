"""Scores to what people read: tables, figures and pages with intervals and paired differences; no torch here."""
