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
    guard(
        "tips-files-are-encrypted-on-the-way",
        "media/storing.py",
        "self.key = object_key(resources.clock.now(), sealed=sealed)",
        "self.key = object_key(resources.clock.now(), sealed=False)",
        "incidents/test_sealed_files.py::test_what_comes_in_one_request_never_stands_there_plain",
    ),
    guard(
        "tips-pictures-are-encrypted-too",
        "media/derivatives.py",
        'below = "media/sealed/derived" if is_sealed(subject.object_key) else "media/derived"',
        'below = "media/derived"',
        "incidents/test_sealed_files.py::test_neither_file_nor_pictures_of_it_stand_in_the_store",
    ),
    guard(
        "tips-late-files-are-moved",
        "incidents/reactions.py",
        "    await defer(session, SEAL, open_)\n",
        "    open_ = []\n",
        "incidents/test_sealed_files.py::test_neither_file_nor_pictures_of_it_stand_in_the_store",
    ),
    guard(
        "sealed-objects-know-the-place-of-each-chunk",
        "core/sealed_store.py",
        "    return place.to_bytes(_NONCE)\n",
        "    return (0).to_bytes(_NONCE)\n",
        "core/test_sealed_store.py::test_chunks_in_another_order_are_not_given_out",
    ),
)
