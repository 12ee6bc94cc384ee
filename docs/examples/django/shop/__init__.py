"""A shop where people sign up by mail."""
