"""Verify an export of 综治E通 alone: `python3 verify.py evidence.json [copy-of-an-anchor.json …]`.

Standard library only, explained in docs/evidence.md. Ends with 0 if all holds, else with 1.
"""

import hashlib
import json
import sys
from pathlib import Path


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def check_entry(entry, expected, incident, previous):
    """What is wrong with one entry; its words, where they are there, are checked too."""
    if entry["seq"] != expected or entry["previous_hash"] != previous:
        yield "does not follow the entry before: one is missing, swapped or altered"
    if entry["hashed"] is None:  # withheld from this reader: only its place in the chain is proven
        if entry["texts"] is not None:
            yield "has words but no facts that vouch for them"
        return
    facts = json.loads(entry["hashed"])
    named = (facts["seq"], facts["incident_id"], facts["previous_hash"])
    if sha256(entry["hashed"].encode()) != entry["hash"] or named != (expected, incident, previous):
        yield "is not what was hashed"
    if entry["texts"] is not None:
        texts, words = entry["texts"], [entry["texts"]["reason"], entry["texts"]["text"]]
        written = json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()
        if sha256(bytes.fromhex(texts["salt"]) + written) != facts["texts_digest"]:
            yield "has other words than were hashed"


def root_of(proof, leaves):
    """The root that leaf and path lead to (RFC 6962 §2.1); None where the path does not fit."""
    place, path = proof["place"], [bytes.fromhex(each) for each in proof["path"]]
    node = hashlib.sha256(b"\x00" + proof["leaf"].encode()).digest()
    if not 0 <= place < leaves:
        return None
    while leaves > 1:
        if place ^ 1 < leaves:
            if not path:
                return None
            pair = path.pop(0) + node if place % 2 else node + path.pop(0)
            node = hashlib.sha256(b"\x01" + pair).digest()
        place, leaves = place // 2, (leaves + 1) // 2
    return None if path else node.hex()


def check_proof(proof, leaf, anchors):
    anchor = anchors.get(proof["anchor"], {"leaves": 0, "root": ""})
    if proof["leaf"] != leaf or root_of(proof, anchor["leaves"]) != anchor["root"]:
        yield f"{' '.join(leaf.split()[::2])} is not what was anchored"


def check_history(incident, entries):
    previous = "00" * 32  # before the first entry there is nothing
    for expected, entry in enumerate(entries, 1):
        for wrong in check_entry(entry, expected, incident, previous):
            yield f"entry {expected} {wrong}"
        previous = entry["hash"]


def check(evidence, copies):
    """Everything that does not hold, a line each."""
    incident, entries = evidence["incident_id"], evidence["entries"]
    yield from check_history(incident, entries)
    anchors = {each["seq"]: json.loads(each["hashed"]) for each in evidence["anchors"]}
    for each in evidence["anchors"]:
        named = anchors[each["seq"]]["seq"]
        if sha256(each["hashed"].encode()) != each["digest"] or named != each["seq"]:
            yield f"anchor {each['seq']} is not what was hashed"
        if copies and each["digest"] not in copies:
            yield f"anchor {each['seq']} is in none of the copies given"
    if proof := evidence["proof"]:
        seq = int(proof["leaf"].split()[2])
        head = entries[seq - 1]["hash"] if 0 < seq <= len(entries) else None
        yield from check_proof(proof, f"history {incident} {seq} {head}", anchors)
    for file in evidence["files"]:
        leaf = f"file {incident} {file['id']} {file['sha256']}"
        yield from check_proof(file["proof"], leaf, anchors) if file["proof"] else ()


def main(paths):
    evidence, *others = [json.loads(Path(path).read_text("utf-8")) for path in paths]
    wrong = list(check(evidence, {copy["digest"] for copy in others}))
    print("\n".join(wrong) or "everything holds / 全部核验通过")
    entries, proof = evidence["entries"], evidence["proof"]
    withheld, erased = sum(not e["hashed"] for e in entries), sum(e["erased"] for e in entries)
    anchored = proof["leaf"].split()[2] if proof else 0
    print(f"{len(entries)} entries: {withheld} withheld, {erased} erased, anchored to {anchored}")
    for each in evidence["anchors"]:
        print(f"compare with the copy outside: {each['copy_key']} {each['digest']}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
