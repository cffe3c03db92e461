"""The running parties: compute node, key holder and retailer, with their workers and logs."""
