import re
from pathlib import Path

import pytest

import hmean.reports
from hmean.errors import InputError
from hmean.reports.words import LANGUAGES, Words, read_table
from hmean.runs.comparison import ONE_TRAINING
from hmean.runs.start import ONE_FINE_TUNING, WHAT_TO_DO, WHY_NOT
from hmean.tuning.result import REASONS

HANGUL = re.compile("[가-힣]")
REPORTS = Path(hmean.reports.__file__).parent
WITHOUT_HANGUL = ("errors.between", "iou50 H", "iou70 H")


@pytest.mark.parametrize(("key", "text"), read_table().items())
def test_every_english_text_has_a_korean_one_with_the_same_values(key, text):
    assert set(re.findall(r"{\w*}", text.en)) == set(re.findall(r"{\w*}", text.ko))
    assert not HANGUL.search(text.en)
    assert HANGUL.search(text.ko) or key in WITHOUT_HANGUL, text.ko


def test_every_text_that_a_report_says_is_in_the_table():
    """A report says most of them in rare cases only."""
    table = read_table()
    said = set()
    for path in [*REPORTS.glob("*.py"), *REPORTS.glob("templates/*.j2")]:
        said |= set(re.findall(r"""\bsay\(\s*"([^"{]+)"\s*[,)]""", path.read_text(encoding="utf-8")))
    assert len(said) > 80
    assert said - table.keys() == set()


def test_reports_give_the_terminals_reasons_for_a_decision():
    table = read_table()
    for reason, text in REASONS.items():
        assert table[f"tuning.reason.{reason}"].en == text


@pytest.mark.parametrize("outcome", WHY_NOT)
def test_reports_advise_what_the_terminal_advises_where_a_start_is_not_beaten(outcome):
    text = Words("en").say(f"start.outcome.{outcome}")
    assert text.startswith(f"{WHY_NOT[outcome]}: use checkpoints/start.ckpt")
    assert text.endswith(f"the start with its tuned values. {WHAT_TO_DO[outcome]}")


def test_reports_say_of_single_trainings_what_the_terminal_says():
    assert read_table()["run.one_training"].en == ONE_TRAINING
    assert read_table()["start.one_training"].en == ONE_FINE_TUNING


def test_a_language_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="lang=de: choose one of en, ko"):
        Words("de")


def test_a_text_has_its_values_and_a_name_without_entry_stays():
    assert Words("en").say("title", name="spring") == "Campaign spring"
    assert Words("ko").say("title", name="spring") == "캠페인 spring"
    assert Words("ko").word("val") == "검증"
    assert Words("ko").word("shop 7") == "shop 7"
    with pytest.raises(KeyError):
        Words("en").say("title")


def test_each_language_has_its_own_file():
    assert [Words(lang).file_name(".html") for lang in LANGUAGES] == ["report.html", "report.ko.html"]
