"""The one exception for wrong input: a config, an image, a label, a checkpoint or a request, never a bug of ours."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(Exception):
    """The user's input is wrong. The message names the file, the key or the word and says what to do.

    The command line prints it without a traceback and exits with 2.

    Attributes:
        faults: the faults that the message lists, all of them; of a plain message: the message.
    """

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults) or (message,)

    @classmethod
    def listing(cls, heading: str, faults: Sequence[str], limit: int = 20) -> InputError:
        """One message for several faults: the heading, then the first ``limit`` of them."""
        lines = [f"  - {fault}" for fault in faults[:limit]]
        if len(faults) > limit:
            lines.append(f"  ... and {len(faults) - limit} more")
        return cls("\n".join([heading, *lines]), faults)
