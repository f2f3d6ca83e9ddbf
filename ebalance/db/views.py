"""Models of views."""

from django.db import models


class View(models.Model):
    """A view of the database: a model that is read only.

    Its fields declare the columns with their class. Grants, comments and the data dictionary follow
    from them, as for a table: the analyst selects the columns that are P0. ``CreateView`` in a
    migration has the query, and whose privileges the view reads with.
    """

    class Meta:
        abstract = True
        managed = False
        default_permissions = ()
