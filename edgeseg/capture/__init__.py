"""Live sources: a reader process for each, a supervisor that reconnects, and the age of every frame."""
