"""The order's life: intent, checks, send, answer, evidence. No order is ever sent twice.

`order_send` has no client order id and can execute without answering. So the intent is on disk before the call, an
order that may have happened is never sent again, and what was filled is read from the deals, not from the answer.
"""

from Live.order_executor.executor import OrderExecutor
from Live.order_executor.settlement import SECONDS_BETWEEN_READS

__all__ = ["SECONDS_BETWEEN_READS", "OrderExecutor"]
