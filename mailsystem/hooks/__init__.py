"""Webhooks: a door that leads outward. What comes to pass in a mailbox is told to whoever wants to hear, by HTTP."""
