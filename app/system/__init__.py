"""System: what machines and developers ask of the server itself.

Owns: health, metrics, the API's description and its documentation pages with their bundles.
Promises: `live` touches nothing; `ready` says whether requests can be served, over a connection of
its own; the pages load nothing from outside our origin.
Never: a word about a person or a matter.
"""
