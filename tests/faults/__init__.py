"""
What the daemon promises while processes are killed, frozen and stopped around it.

Each scenario is played short by the tests beside it, and at length by `python3 dev.py faults`.
"""
