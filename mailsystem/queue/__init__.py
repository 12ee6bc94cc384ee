"""The door outward: mail for other servers, tried until they take it or until its sender is told that they do not."""
