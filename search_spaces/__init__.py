"""Definitions of search spaces: one module each, with ``SPACE`` and ``build``."""
