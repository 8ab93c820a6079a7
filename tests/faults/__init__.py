"""
Fault tests: the daemon's promises while processes around it are killed, frozen and stopped.

The tests run each scenario in a short form, `python3 dev.py faults` in a long one.
"""
