"""Receipts before a picture is taken of them."""

import numpy as np

from hmean.synth.chance import pick
from hmean.synth.layout import print_receipt
from hmean.synth.render import KINDS, place
from hmean.synth.shop import Shop


def sheet_and_view(seed):
    """The sheet of a receipt and its view in a picture, as ``draw_receipt`` makes them."""
    rng = np.random.default_rng(seed)
    shop = Shop.invent(np.random.default_rng(seed + 1), ())
    sheet = print_receipt(rng, shop)
    return sheet, place(rng, sheet, shop.faces.body.size, pick(rng, KINDS), 800)
