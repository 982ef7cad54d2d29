"""Models on a Triton server: the engine that asks one, and the repository that one loads."""
