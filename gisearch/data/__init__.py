"""The cell graph, the genotypes and their splits: NumPy only, so that loading is cheap and shareable."""
