"""Sealed matters: what they say, who reads it, and that it is noted."""

from tests.sabotage.guard import guard

_NOWHERE = "incidents/test_secrecy.py::test_no_word_and_no_point_of_a_tip_stands_in_the_database"

TIPS = (
    guard(
        "tips-outcome-is-sealed-however-it-came",
        "incidents/secrecy.py",
        "        incident.outcome = sealed_words(own, incident.outcome)\n",
        "        sealed_words(own, incident.outcome)\n",
        _NOWHERE,
    ),
    guard(
        "tips-history-is-sealed",
        "incidents/history.py",
        "reason=sealed_words(own, entry.reason), text=sealed_words(own, entry.text)",
        "reason=entry.reason, text=entry.text",
        _NOWHERE,
    ),
    guard(
        "tips-words-stay-out-of-inboxes",
        "notifications/reactions.py",
        "*((None, None) if event.sealed else (reason, words)),",
        "*(reason, words),",
        "incidents/test_sealed.py::test_the_outcome_of_a_tip_reaches_its_reporter",
    ),
    guard(
        "tips-key-opens-its-own-matter",
        "incidents/secrecy.py",
        "    if whose != str(incident.id):\n",
        "    if not whose:\n",
        "incidents/test_secrecy.py::test_a_key_opens_its_own_matter_only",
    ),
    guard(
        "tips-fingerprint-under-a-key",
        "incidents/secrecy.py",
        'return keys.mac("fingerprint", content) if sealed else content',
        "return content",
        "incidents/test_secrecy.py::"
        "test_i4_a_tip_sent_twice_is_one_and_another_text_under_its_id_is_refused",
    ),
)
