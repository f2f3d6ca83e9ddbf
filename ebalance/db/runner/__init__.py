"""The runner behind ``manage.py migrate`` (docs/spec/migrations.md, docs/adr/0044-runner.md).

A run uses these modules, which are best read in this order:

1. ``session``: the lock of the run, on the server itself, in the schema ``public``.
2. ``indexes``: indexes whose build was interrupted are rebuilt.
3. ``executor``: the plan. ``releases`` (edited files, rollback notes), ``plan`` (operations, with
   ``questions`` to the server) and ``contracts`` (removals) are asked before the first statement.
4. ``recording``: the SQL of a migration is computed first, and divided into steps.
   ``statements`` reads SQL text for this.
5. ``execution``: each step is a transaction with short locks, retried while clients are in the way.
6. ``comparison``, with ``objects``: before it commits, the schema is compared with that before
   the step. ``new_objects`` grants privileges on what is new.

``safe_forms`` is for ``makemigrations``: it writes the operations that a run accepts.
``advice`` has the remedies of all refusals, ``production`` the question whether they are binding.
"""
