"""Evidence: HOW IT IS PROVEN.

Owns: the nightly anchors over all histories, files and the audit trail; proofs; the export.
Promises: what was anchored once can be proven to anybody with the standard library and one digest;
each anchor leaves the database the night it is made.
Never: who may see a matter (incidents decides), words that were erased, anything it does not prove.
"""
