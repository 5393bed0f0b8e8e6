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
        "notifications/messages.py",
        "    if told.sealed:\n",
        "    if not told.number:\n",
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
        "tips-are-withheld-without-a-reason",
        "incidents/views.py",
        "opened(looking.keys, incident) if incident.id in open_to else WITHHELD",
        "opened(looking.keys, incident)",
        "incidents/test_openings.py::test_without_a_reason_nothing_of_what_it_says_is_shown",
    ),
    guard(
        "tips-are-open-for-a-while",
        "incidents/openings.py",
        "                    Opening.until > now,\n",
        "",
        "incidents/test_openings.py::test_with_a_reason_it_is_shown_for_half_an_hour",
    ),
    guard(
        "tips-need-to-know",
        "incidents/visibility.py",
        "or_(Incident.sealed.is_(False), ~listed, on_it)",
        "or_(Incident.sealed.is_(False), ~listed, listed)",
        "incidents/test_openings.py::test_only_handlers_on_the_list_know_of_it",
    ),
    guard(
        "tips-unlisted-are-not-told",
        "notifications/reactions.py",
        " and person not in unaware[event.incident_id]",
        "",
        "incidents/test_openings.py::test_who_is_not_on_the_list_is_not_told_either",
    ),
    guard(
        "tips-glass-is-broken-from-above",
        "incidents/openings.py",
        "if incident is None or not is_above(caller, incident):",
        "if incident is None:",
        "incidents/test_openings.py::"
        "test_the_glass_is_broken_from_above_only_and_everybody_responsible_hears_of_it",
    ),
    guard(
        "people-in-clear-for-who-works-on-it",
        "incidents/openings.py",
        "if not is_reporter(caller, incident) and not await _works_on(session, caller, incident):",
        "if not is_reporter(caller, incident) and not caller.id:",
        "incidents/test_openings.py::"
        "test_people_are_masked_until_somebody_who_works_on_it_says_why",
    ),
    guard(
        "sealed-objects-know-the-place-of-each-chunk",
        "core/sealed_store.py",
        "    return place.to_bytes(_NONCE)\n",
        "    return (0).to_bytes(_NONCE)\n",
        "core/test_sealed_store.py::test_chunks_in_another_order_are_not_given_out",
    ),
)
