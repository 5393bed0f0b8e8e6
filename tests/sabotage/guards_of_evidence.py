"""The audit trail's chain, the nights' anchors, the export."""

from tests.sabotage.guard import guard

EVIDENCE = (
    guard(
        "v8-audit-hash-covers-the-hash-before",
        "core/audit_chain.py",
        "previous.hex()",
        '""',
        "core/test_audit_chain.py::test_an_entry_forged_with_its_own_hash_breaks_the_one_after",
    ),
    guard(
        "v8-audit-altered-entry-is-found",
        "core/audit_chain.py",
        "if not sound or entry.hash != note_hash(entry, expected, previous):",
        "if not sound:",
        "core/test_audit_chain.py::test_a_single_altered_field_breaks_the_chain_there",
    ),
    guard(
        "v8-sealed-once",
        "core/audit_sealing.py",
        "        .where(AuditEntry.chain_seq.is_(None))\n",
        "",
        "core/test_audit_chain.py::test_entries_are_sealed_one_to_n_each_over_the_one_before",
    ),
    guard(
        "v8-one-sealer-at-a-time",
        "core/audit_sealing.py",
        "if not await session.scalar(select(func.pg_try_advisory_xact_lock(LOCK_KEY))):",
        "if not await session.scalar(select(func.length('x'))):",
        "core/test_audit_chain.py::test_two_sealers_at_once_seal_each_entry_once",
    ),
    guard(
        "v8-anchors-cover-the-one-before",
        "evidence/writing.py",
        "anchor.previous.hex()",
        '""',
        "evidence/test_anchoring.py::test_an_anchor_is_another_where_the_one_before_is",
    ),
    guard(
        "v8-copies-leave-the-database",
        "evidence/anchoring.py",
        "    await _keep_copies(resources)\n",
        "",
        "evidence/test_anchoring.py::test_the_digest_is_in_the_log_and_in_the_store",
    ),
    guard(
        "v8-leaves-are-no-nodes",
        "evidence/merkle.py",
        'b"\\x00", b"\\x01"',
        'b"", b""',
        "evidence/test_merkle.py::test_the_root_is_the_standards",
    ),
    guard(
        "evidence-withholds-what-the-history-hides",
        "evidence/exporting.py",
        "hashed=hashed(entry).decode() if open_ else None,",
        "hashed=hashed(entry).decode(),",
        "evidence/test_evidence.py::test_a_handler_of_a_tip_proves_it_without_learning_who_reported",
    ),
    guard(
        "evidence-within-the-scope",
        "evidence/router.py",
        "incident = await visible_incident(session, caller, incident_id)",
        "incident = await session.get(__import__('app.tables').tables.Incident, incident_id)",
        "evidence/test_evidence.py::test_a_sealed_tip_has_no_evidence_outside",
    ),
)
