from django.core.paginator import Paginator
from django.db import models
from django.utils.functional import cached_property


class BoundedPaginator(Paginator):
    """Counts up to a limit, so that the cost of a list does not grow with its table."""

    object_list: models.QuerySet
    limit = 10_000

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by().values("pk")[: self.limit].count()
