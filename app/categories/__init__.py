"""Categories: WHAT KIND.

Owns: the tree of categories, which of them are sealed, what each asks for, the code maps of other
platforms.
Promises: a category never disappears and never becomes unsealed; a child of a sealed one is sealed;
an unknown code counts as sealed.
Never: an incident, a deadline, a route.
"""
