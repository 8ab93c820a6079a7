"""
`webhookd demo`: the whole product on one terminal, without any setup.

`fixtures` are the sample tenants, webhooks and events, `endpoints` the sample receivers. `scenario`
says what happens when, `display` prints it, `summary` holds the figures.
"""
