"""The write paths of booking and payment. docs/write-paths.md has them in pictures."""
