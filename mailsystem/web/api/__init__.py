"""What the interface does, part by part. Each part has `routes`, which makes it for one house."""
