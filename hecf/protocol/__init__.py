"""Tasks that parties carry out together: who contributes what, and what may come out.

Native messages and state only: no network, no files, no clock.
"""
