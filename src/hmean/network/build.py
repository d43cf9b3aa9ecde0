"""The network of a config or a checkpoint: an encoder, a decoder and a head by their names, put in a row."""

from __future__ import annotations

from dataclasses import replace

from hmean.network.detector import Detector
from hmean.plugins import Component

# Where a config names each part.
ENCODER = "models.encoder"
DECODER = "models.decoder"
HEAD = "models.head"
# Arguments that hmean supplies: each part is told how many channels the part before it has.
SUPPLIED = {DECODER: ("in_channels",), HEAD: ("in_channels",)}


def build_detector(encoder: Component, decoder: Component, head: Component) -> Detector:
    """Build a network.

    Raises:
        InputError: if a part cannot be imported or does not accept its arguments.
    """
    built_encoder = encoder.build()
    built_decoder = decoder.build(in_channels=built_encoder.channels)
    built_head = head.build(in_channels=built_decoder.channels)
    return Detector(built_encoder, built_decoder, built_head)


def without_pretrained(encoder: Component) -> Component:
    """The encoder with random weights, for a network whose weights are loaded afterwards: nothing is downloaded."""
    if not encoder.accepts("pretrained"):
        return encoder
    return replace(encoder, arguments={**encoder.arguments, "pretrained": False})
