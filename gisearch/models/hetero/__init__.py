"""Cells of three node types: N genes, R reactions, M metabolites; B genotypes, K deletions, h width."""
