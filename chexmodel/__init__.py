"""Read chest X-rays with a multi-label classifier and explain each score."""
