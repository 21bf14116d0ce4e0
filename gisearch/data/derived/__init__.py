"""Networks and features of genes that are derived from the labels of training genotypes alone."""
