"""Multi-objective hardware-software co-design of small quantised neural networks."""
