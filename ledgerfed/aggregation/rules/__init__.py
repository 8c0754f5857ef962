"""The robust rules, one a file: they weigh whole updates by their Gram matrix, or take every coordinate."""
