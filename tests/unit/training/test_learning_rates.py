from hmean.training.learning_rates import suggest


def test_the_suggested_range_is_where_the_loss_falls():
    lrs = [10 ** (-6 + 6 * i / 99) for i in range(100)]
    losses = [2 - 1 / (1 + (0.003 / lr) ** 2) + (50 * lr) ** 2 * (lr > 0.02) for lr in lrs]
    low, high = suggest(lrs, losses).range
    assert low < 0.003 < high < 0.02
