"""ResonantGen: words in, four bar-exact, lockable tracks out."""

__version__ = "0.1.0"
