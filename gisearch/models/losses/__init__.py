"""Losses beyond the mean error of one label. n measured genotypes, h width."""
