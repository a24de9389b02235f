"""Words to an Intent: style, mood, attributes and edits."""

from resonantgen.prompt.describe import describe
from resonantgen.prompt.serialization import intent_from_dict, intent_to_dict
from resonantgen.prompt.understanding import suggested_style, understand

__all__ = ["describe", "intent_from_dict", "intent_to_dict", "suggested_style", "understand"]
