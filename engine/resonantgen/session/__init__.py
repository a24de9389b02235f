"""Session, Track, immutable Take: lock, regenerate, undo, and the project on disk."""
