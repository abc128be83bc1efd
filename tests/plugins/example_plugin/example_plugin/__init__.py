"""What a package must have to bring a transport, an encoder and a method."""
