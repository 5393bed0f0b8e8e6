"""Routing: WHO MUST ACT.

Owns: ordered, versioned rules; one stored decision with its trace per incident.
Promises: always ends at exactly one unit (rule, then the centres upward, then the duty desk), and
says why; a matter that was withdrawn or self-handled meanwhile is not routed.
Never: learning or guessing; a suggestion is never applied by itself.
"""
