"""Versions of rules, similar matters, clusters, dry runs."""

from tests.sabotage.guard import guard

ROUTING = (
    guard(
        "routing-version-stands-in-the-trace",
        "routing/rules.py",
        '"version": rule.version if rule else None,',
        '"version": None,',
        "routing/test_rule_sets.py::test_a_new_version_counts_from_its_moment_and_the_old_one_is_kept",
    ),
    guard(
        "routing-drafts-route-nothing",
        "routing/changing.py",
        "valid_from=None if wanted.draft else wanted.valid_from or at,",
        "valid_from=wanted.valid_from or at,",
        "routing/test_rule_sets.py::test_a_draft_routes_nothing_until_it_is_activated_once",
    ),
    guard(
        "routing-dry-run-leaves-sealed-out",
        "routing/queries.py",
        "or_(false(), *within) & Incident.sealed.is_(False)",
        "or_(false(), *within)",
        "routing/test_trying_out.py::test_a_changed_set_tells_what_would_have_gone_elsewhere",
    ),
    guard(
        "similar-within-the-scope",
        "incidents/duplicates.py",
        "            visible_to(caller),\n",
        "",
        "incidents/test_similar.py::test_similar_matters_outside_the_scope_do_not_exist",
    ),
    guard(
        "similar-leaves-sealed-out",
        "incidents/duplicates.py",
        "            Incident.sealed.is_(False),\n",
        "",
        "incidents/test_similar.py::test_a_sealed_matter_is_nobodys_candidate",
    ),
    guard(
        "clusters-within-the-scope",
        "incidents/clusters.py",
        "            visible_to(caller),\n",
        "",
        "incidents/test_similar.py::test_clusters_are_for_desks_and_supervisors_of_the_place",
    ),
    guard(
        "clusters-leave-sealed-out",
        "incidents/clusters.py",
        "            Incident.sealed.is_(False),\n",
        "",
        "incidents/test_similar.py::test_sealed_matters_are_in_no_cluster",
    ),
)
