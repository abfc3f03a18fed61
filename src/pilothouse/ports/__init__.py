"""What the layers ask of each other. A Protocol's docstring is its specification; adapters live elsewhere."""
