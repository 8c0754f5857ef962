"""Ways to forecast for many nodes: alone, by averaging, pooled, and by this federation; one idea a file."""
