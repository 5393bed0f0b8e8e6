"""One guard: the edit that takes it out, and the tests that must then fail."""

from dataclasses import dataclass
from pathlib import Path


class EditDoesNotFit(Exception):  # noqa: N818 - names the fact
    """The guard's words do not stand in its file exactly once: they have moved."""


@dataclass(frozen=True)
class Guard:
    name: str
    file: str
    """Path from the root of the tree."""
    old: str
    """Words that stand in the file exactly once."""
    new: str
    tests: tuple[str, ...]
    """Node ids of pytest; one of them has to fail."""

    def sabotaged(self, root: Path) -> str:
        """The file's text without the guard. Raises EditDoesNotFit."""
        text = (root / self.file).read_text("utf-8")
        found = text.count(self.old)
        if found != 1:
            raise EditDoesNotFit(f"{self.name}: {found} times in {self.file}: {self.old!r}")
        return text.replace(self.old, self.new)


def guard(name: str, file: str, old: str, new: str, *tests: str) -> Guard:
    """`file` is below `app/`, the tests below `tests/`."""
    return Guard(name, f"app/{file}", old, new, tuple(f"tests/{test}" for test in tests))
