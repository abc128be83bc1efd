"""What a package must have to bring a transport and an encoder."""
