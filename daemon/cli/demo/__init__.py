"""
The showroom: what `webhookd demo` needs beside the daemon itself.

`cast` is who appears: tenants, their webhooks, their events. `receiver` plays the customers'
endpoints, `screen` tells what happens, `tally` sums it up.
"""
