"""Layers shared by the models. N genes, G networks, B genotypes, K deletions per genotype, h width."""
