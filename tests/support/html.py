"""What people read on an HTML page."""

import re

HIDDEN = ("<style>.*?</style>", "<script>.*?</script>", "<metadata>.*?</metadata>", "<code>.*?</code>", "<!--.*?-->",
          '<td class="text">.*?</td>')  # fmt: skip
THREE_WORDS = re.compile(r"[A-Za-z]{2,}(?:,? [A-Za-z]{2,}){2,}")


def words_of(html):
    """The page's text without code, values of settings and reasons that a program gave."""
    for hidden in HIDDEN:
        html = re.sub(hidden, " ", html, flags=re.DOTALL)
    return re.sub(r"<[^>]*>", "|", html)


def english_phrases(html):
    """Where three English words follow each other: names and keys are shorter."""
    return THREE_WORDS.findall(words_of(html))
