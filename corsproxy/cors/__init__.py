"""What the Fetch standard says: policies, decisions and the header fields that carry them."""
