from hmean.reports.figures import draw_learning_curves
from hmean.reports.words import Words
from hmean.runs.metrics import EpochRow


def test_learning_curves_are_a_panel_for_each_metric_and_the_learning_rate():
    rows = []
    for epoch in range(3):
        metrics = {"train/loss": 3.0 - epoch}
        if epoch > 0:
            metrics["val/hmean"] = 0.5 + epoch / 10
        rows.append(EpochRow(epoch=epoch, metrics=metrics, lr=0.001, seconds=1.0))
    panels = draw_learning_curves(rows, Words("en"))
    assert len(panels) == 4
    assert all(panel.startswith("<svg") for panel in panels)
    assert "training loss" in panels[0]
    assert panels == draw_learning_curves(rows, Words("en"))
