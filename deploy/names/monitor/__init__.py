"""The package `calwatch` under its older name: the same modules."""

from typing import TYPE_CHECKING

from calwatch.second_name import answer_to

if TYPE_CHECKING:
    from calwatch import *  # noqa: F403 - all of it, for type checkers

answer_to(__name__)
