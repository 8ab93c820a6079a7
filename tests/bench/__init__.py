"""
How fast, how cheap, how soon: the daemon beside the bare aiohttp loop, in one run on one machine.

`python3 dev.py bench`. Machines are noisy, so each thing is measured several times in turn with
the others, and medians and ratios are what counts.
"""
