from hmean.synth.dataset import draw_receipt
from hmean.synth.fonts import font_files, shipped_font


def test_fonts_of_the_user(tmp_path):
    own = tmp_path / "fonts" / "My.ttf"
    own.parent.mkdir()
    own.write_bytes(shipped_font("DejaVuSerif-Bold").read_bytes())
    (own.parent / "symbols.ttf").write_bytes(shipped_font("cmex10").read_bytes())  # no letters: left out
    (own.parent / "LICENSE").write_text("not a font")
    fonts = font_files(own.parent)
    assert own in fonts
    pages = [draw_receipt(seed, long_side=320, fonts=fonts)[1] for seed in range(4)]
    assert all(len(page.polygons) for page in pages)
