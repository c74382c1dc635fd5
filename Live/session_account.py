"""A recorded session in backtesting.py's terms: its trades, and the equity at the close of each bar (pure).

Times are on the server's clock, as the strategy saw them. The equity is that of this strategy on this symbol alone:
what the account began with, what its deals have made, and what its open positions are worth at the close.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Row = Mapping[str, Any]
Numbers = npt.NDArray[np.float64]


def frame_of_rows(bars: Sequence[Row]) -> pd.DataFrame:
    """Recorded bars as a price frame."""
    columns = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "tick_volume"}
    index = pd.DatetimeIndex(pd.to_datetime([bar["bar_epoch"] for bar in bars], unit="s"))
    return pd.DataFrame({name: [bar[key] for bar in bars] for name, key in columns.items()}, index=index, dtype="float64")


def trades_frame(trades: Sequence[Row], index: pd.DatetimeIndex) -> pd.DataFrame:
    """The closed trades with the columns of backtesting.py's `_trades`, its profit net of commission and swap."""
    entered, left = (_times(row[key] for row in trades) for key in ("entry_epoch", "exit_epoch"))
    sizes = [int(row["size"]) if float(row["size"]).is_integer() else row["size"] for row in trades]
    frame = pd.DataFrame(
        {
            "Size": sizes,
            "EntryBar": _bars_of(entered, index),
            "ExitBar": _bars_of(left, index),
            "EntryPrice": [row["entry_price"] for row in trades],
            "ExitPrice": [row["exit_price"] for row in trades],
            "SL": None,
            "TP": None,
            "PnL": [row["net_profit"] for row in trades],
            "Commission": [-row["commission"] for row in trades],
            "ReturnPct": [return_of(row) for row in trades],
            "EntryTime": entered,
            "ExitTime": left,
        }
    )
    frame["Duration"] = frame["ExitTime"] - frame["EntryTime"]
    frame["Tag"] = [None if row["tag"] is None else json.loads(row["tag"]) for row in trades]
    return frame.astype({"PnL": float, "Commission": float, "ReturnPct": float, "EntryBar": int, "ExitBar": int})


def return_of(trade: Row) -> float:
    """What a trade made of the value of its position at entry, net of commission and swap.

    >>> return_of({"size": -1000, "entry_price": 2.0, "exit_price": 1.5, "profit": 500.0, "commission": -2.0, "swap": 0.0})
    0.249
    """
    size, entry, move = trade["size"], trade["entry_price"], trade["exit_price"] - trade["entry_price"]
    rate = trade["profit"] / (size * move) if move and trade["profit"] else 1.0  # account currency for one of the quote currency
    costs = -(trade["commission"] + trade["swap"])
    return float(np.sign(size) * (trade["exit_price"] / entry - 1) - costs / (abs(size) * entry * rate))


def equity_at_closes(fills: Sequence[Row], bars: Sequence[Row], balance: float, worth: Mapping[int, float]) -> Numbers:
    """The equity at the close of each bar. `worth` is what one lot of a position makes while its price rises by 1."""
    opens = np.array([bar["bar_epoch"] for bar in bars], dtype="int64")
    closes = np.array([bar["close"] for bar in bars], dtype="float64")
    # a deal of this bar, or of the time after it that has no bar, is over when the next one opens
    places = np.clip(np.searchsorted(opens, [fill["epoch"] for fill in fills], side="right") - 1, 0, None)
    money, lots, cost = np.zeros(len(bars)), np.zeros(len(bars)), np.zeros(len(bars))
    held: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])  # signed lots, and those times their price
    for fill, place in zip(fills, places, strict=True):
        money[place] += fill["profit"] + fill["commission"] + fill["swap"] + fill["fee"]
        factor = worth[fill["position_id"]]
        moved_lots, moved_cost = _moved(held[fill["position_id"]], fill)
        lots[place] += moved_lots * factor
        cost[place] += moved_cost * factor
    return np.asarray(balance + np.cumsum(money) + np.cumsum(lots) * closes - np.cumsum(cost))


def _moved(held: list[float], fill: Row) -> tuple[float, float]:
    """What a deal adds to a position: lots, and lots times the price they were bought at."""
    signed = fill["volume"] if fill["side"] == "BUY" else -fill["volume"]
    lots, cost = held
    moved = (signed, signed * fill["price"])
    if fill["entry"] == "INOUT":  # a net position is turned round: all of it goes, the rest is new
        moved = (signed, (lots + signed) * fill["price"] - cost)
    elif fill["entry"] != "IN" and lots:  # what goes out goes at the position's own average price, and what is left keeps that
        moved = (signed, signed * cost / lots)
    held[0], held[1] = lots + moved[0], cost + moved[1]
    return moved


def worth_of_positions(trades: Iterable[Row], positions: Iterable[Row]) -> Mapping[int, float]:
    """Of each position what one lot makes while its price rises by 1, in the account's currency.

    Measured on what the position has made; one that made nothing is worth what the others are (in the end, 1).
    """
    found: dict[int, float] = {}
    for row in trades:
        move = row["exit_price"] - row["entry_price"]
        lots = row["volume"] if row["size"] > 0 else -row["volume"]
        if move and row["profit"]:
            found[row["position_ticket"]] = row["profit"] / (lots * move)
        else:
            found.setdefault(row["position_ticket"], abs(row["size"]) / row["volume"])
    for row in positions:
        move = row["price_current"] - row["entry_price"]
        lots = row["volume"] if row["side"] == "BUY" else -row["volume"]
        if move and row["profit"]:
            found[row["ticket"]] = row["profit"] / (lots * move)
    usual = float(np.median(list(found.values()))) if found else 1.0
    return defaultdict(lambda: usual, found)


def _times(epochs: Iterable[int]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(list(epochs), unit="s"))


def _bars_of(times: pd.DatetimeIndex, index: pd.DatetimeIndex) -> Numbers:
    return np.asarray(np.clip(index.searchsorted(times, side="right") - 1, 0, None))
