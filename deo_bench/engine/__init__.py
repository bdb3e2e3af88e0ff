"""The loops: objective, training, evaluation."""
