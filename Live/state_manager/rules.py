"""Which rules stop entries here, with the limits of the settings."""

from Live.config import LiveConfig
from Live.risk import (
    LineHolds,
    MaxDailyLoss,
    MaxDailyTrades,
    MaxFailuresInARow,
    MaxOrdersPerMinute,
    MaxPositions,
    MaxPositionSize,
    MaxQuoteAge,
    MaxSpread,
    NetExplained,
    NoStopOut,
    NoStrangers,
    NotHeld,
    NothingUnsettled,
    OpenToSide,
    QuarantineOver,
    Rule,
    SameLevels,
    TradingSwitchedOn,
)


def rules_of(config: LiveConfig) -> tuple[Rule, ...]:
    """All of them, in the order in which a denial names them."""
    return (
        TradingSwitchedOn(),
        QuarantineOver(),
        LineHolds(),
        NothingUnsettled(),
        NotHeld(),
        NoStrangers(),
        NetExplained(),
        SameLevels(),
        NoStopOut(),
        OpenToSide(),
        MaxFailuresInARow(config.max_failures_in_a_row),
        MaxQuoteAge(config.max_quote_age_seconds),
        MaxDailyTrades(config.max_daily_trades),
        MaxDailyLoss(config.max_daily_loss_pct),
        MaxPositions(config.max_positions),
        MaxPositionSize(config.max_position_size),
        MaxSpread(config.max_spread_points),
        MaxOrdersPerMinute(config.max_orders_per_minute),
    )
