"""
Benchmarks of throughput, CPU time and latency: the daemon beside a bare aiohttp loop.

Run them with `python3 dev.py bench`. Machines are noisy, so all are measured in turn on one machine
for several rounds; compare medians and ratios.
"""
