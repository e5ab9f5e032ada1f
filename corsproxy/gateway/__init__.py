"""The moving: the only place with sockets on the data path."""
