"""Measures the first page of a topic with few and with many items.

    .venv/bin/python benchmarks/topic_items.py

It reads the newest twenty published items of a topic by
`ContentItem.objects.published().of_topic()`, in a temporary database; a third of all items have the
topic. The result is the median of the rounds. The bound of the ratio is 3.
"""

from __future__ import annotations

import statistics
import time

from common import empty_database, migrate
from django.db import connection

SIZES = (500, 50_000)
ROUNDS = 50
BOUND = 3.0

FILL = """
INSERT INTO users (id, email) VALUES ('0199f0a0-0000-7000-8000-000000000001', 'author@example.com')
ON CONFLICT DO NOTHING;
INSERT INTO topics (code, title) VALUES ('sleep', 'Сон') ON CONFLICT DO NOTHING;
INSERT INTO content_items (content_type, title, slug, body_markdown, status, published_at,
                           author_user_id)
SELECT 'article', 'Статья', 'article-' || n, 'Текст', 'published', now() - n * interval '1 minute',
       '0199f0a0-0000-7000-8000-000000000001'
FROM generate_series({first}, {last}) n;
INSERT INTO content_item_topics (content_item_id, topic_code)
SELECT i.id, 'sleep' FROM content_items i
WHERE right(i.slug, 1) IN ('0', '3', '6')
  AND NOT EXISTS (SELECT FROM content_item_topics t WHERE t.content_item_id = i.id);
ANALYZE content_items, content_item_topics;
"""


def main() -> None:
    with empty_database("topics") as params:
        migrate(params)
        connection.close()
        connection.settings_dict |= {"NAME": params["dbname"]}
        times, first = [], 1
        for size in SIZES:
            with connection.cursor() as cursor:
                cursor.execute(FILL.format(first=first, last=size * 3))
            first = size * 3 + 1
            times.append(statistics.median(first_page() for _ in range(ROUNDS)))
            print(f"first page of {size:6,} items   {times[-1] * 1000:8.3f} ms")
        connection.close()
    print(f"ratio                        {times[1] / times[0]:8.2f}   (bound {BOUND})")


def first_page() -> float:
    from content.models import ContentItem

    start = time.perf_counter()
    rows = list(ContentItem.objects.published().of_topic("sleep").only("title")[:20])
    seconds = time.perf_counter() - start
    assert len(rows) == 20
    return seconds


if __name__ == "__main__":
    main()
