"""The live page: what one worker does, for people, in a browser."""
