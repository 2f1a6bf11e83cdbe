"""The torch half of training: examples, adapter, loop, guard, checkpoints, merge, quantise. No Ray here."""
