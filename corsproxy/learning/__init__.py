"""What a development run of the proxy teaches: evidence from traffic, and the smallest policy that it proves."""
