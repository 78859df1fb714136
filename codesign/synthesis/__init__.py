"""Run a synthesis tool, or read what one said: both give a ``SynthesisReport``."""
