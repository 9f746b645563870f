"""The keys at the bottom, as many as there is room for.

What holds everywhere (help, quit) stays; of a screen's own keys, those that it names last go first.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

_PADDING = 3  # cells of a key that are neither its name nor its words


class FittedFooter(Footer):
    """Textual's footer, which would run over the edge instead."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._shown: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        kept = self._fitting(keys)
        self._shown = tuple(key.action for key in kept)
        yield from kept

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._again)

    async def _again(self) -> None:
        """Only where the keys that fit are others now."""
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        if tuple(key.action for key in self._fitting(keys)) != self._shown:
            await self.recompose()

    def _fitting(self, keys: Sequence[FooterKey]) -> list[FooterKey]:
        everywhere = {binding.action for some in self.app._bindings.key_to_bindings.values() for binding in some}
        room = self.app.size.width
        kept: set[int] = set()
        for general in (True, False):
            for place, key in enumerate(keys):
                width = cell_len(key.key_display) + cell_len(key.description) + _PADDING
                if (key.action in everywhere) is general and width <= room:
                    kept.add(place)
                    room -= width
                elif (key.action in everywhere) is general:
                    break
        return [key for place, key in enumerate(keys) if place in kept]
