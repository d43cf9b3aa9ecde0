from hmean.data.scripts import NO_SCRIPT, count_scripts


def test_characters_are_counted_by_script():
    texts = ["TOTAL 12.50", "합계", "領収書", "ひらがな", None, "", "éü"]
    assert count_scripts(texts) == {"Latin": 7, NO_SCRIPT: 5, "Hiragana": 4, "Han": 3, "Hangul": 2}


def test_the_most_frequent_comes_first_and_white_space_is_not_counted():
    assert list(count_scripts(["1 2 3\t4", "a"])) == [NO_SCRIPT, "Latin"]
    assert count_scripts([None]) == {}
