"""The one exception the library raises for input a person can put right."""

from __future__ import annotations


class InputError(ValueError):
    """A value given by the user cannot be used.

    ``input`` is the name of the argument (the same name as the node's input), ``problem`` says what is wrong with
    it and ``remedy`` what to do. Nodes put their own name in front; the command line prints the sentence alone.
    """

    def __init__(self, input: str, problem: str, remedy: str = "") -> None:
        self.input = input
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{input}: {problem}" + (f" {remedy}" if remedy else ""))


def first_line(error: BaseException) -> str:
    """The first line of an error's message (of a system's error its reason), else the name of its class."""
    text = getattr(error, "strerror", None) or str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0]
