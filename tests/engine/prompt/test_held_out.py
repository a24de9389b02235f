"""Nine in ten prompts that nobody tuned on land on the right style and mood."""

from __future__ import annotations

from engine.prompt.labelled import read_prompts
from resonantgen.prompt import understand


def test_nine_in_ten_held_out_prompts_land_on_the_right_style_and_mood() -> None:
    prompts = read_prompts("held_out_prompts")
    wrong = [
        f"{prompt.text}: {intent.style}, {intent.mood}"
        for prompt in prompts
        if (intent := understand(prompt.text)).style not in prompt.styles or intent.mood not in prompt.moods
    ]
    assert len(prompts) >= 120
    assert len(wrong) <= len(prompts) // 10, "\n".join(wrong)


def test_held_out_and_tuning_prompts_are_different() -> None:
    held_out = {prompt.text.casefold() for prompt in read_prompts("held_out_prompts")}
    tuning = {prompt.text.casefold() for prompt in read_prompts("tuning_prompts")}
    assert not held_out & tuning
