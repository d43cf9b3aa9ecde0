from hmean.progress import track


def test_a_log_gets_a_line_a_minute(capsys):
    seconds = iter([0, 30, 61, 62, 121])
    with track("scoring", 8, clock=lambda: next(seconds)) as advance:
        for _ in range(4):
            advance()
    assert capsys.readouterr().err.splitlines() == [
        "scoring: 2/8, 0.0/s, 3 min left",
        "scoring: 4/8, 0.0/s, 2 min left",
    ]
