"""What runs: the three parties of a coalition, their provisioning and the ``hecf`` command."""
