"""What was bought and looked at, from the tables that the job etl.load fills."""

BOUGHT_WITH = """
select other.product, count(distinct other.order_id) as n
from purchases mine join purchases other using (order_id)
where mine.product = any(%s) and not other.product = any(%s)
group by other.product
"""

# A purchase says more than a look.
DEMAND = """
select product, sum(n) as n from (
  select product, sum(quantity) as n from purchases where placed_at > now() - interval '90 days' group by product
  union all
  select product, count(*) * 0.1 from views where seen_at > now() - interval '90 days' group by product
) as both_kinds group by product
"""


class History:
    def __init__(self, database):
        self._database = database

    def bought_with(self, slugs):
        """How many orders hold each other product together with one of these."""
        return counts(self._database.rows(BOUGHT_WITH, [list(slugs), list(slugs)]))

    def demand(self):
        return counts(self._database.rows(DEMAND))


def counts(rows):
    return {row["product"]: float(row["n"]) for row in rows}
