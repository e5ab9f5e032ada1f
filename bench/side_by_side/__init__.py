"""What a request costs each proxy, measured side by side: `make bench`."""
