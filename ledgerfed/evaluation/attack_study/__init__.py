"""What hostile nodes can do to the federations of the three scenarios, at their worst; see `parts`."""
