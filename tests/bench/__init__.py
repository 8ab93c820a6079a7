"""
Benchmarks: throughput, CPU time, write-ahead log, latency, and fairness under load.

Run them with `python3 dev.py bench`. Machines are noisy, so all subjects are measured in turn on
one machine for several rounds; compare medians and ratios.
"""
