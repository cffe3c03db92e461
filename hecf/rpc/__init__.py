"""Services of the compute node and the key holder, and two transports that reach them."""
