"""Definitions of hardware models: one module each; constants in ``technology/*.toml``."""
