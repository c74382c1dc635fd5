-- The record, version 4. Times are ISO 8601 UTC ("2017-04-19T09:00:00+00:00"); DATE(timestamp) works on them.
-- bars, history, warm_ups, indicators, signals, order_events, fills, trades, events and account_snapshots are evidence: rows are added, never edited.
-- orders, positions, run_totals and state hold what is true now; orders is the fold over order_events.

CREATE TABLE runs (
    run_id           INTEGER PRIMARY KEY,
    started_at       TEXT NOT NULL,
    ended_at         TEXT,
    slot             TEXT NOT NULL,                       -- login@server/strategy_id/magic
    mode             TEXT NOT NULL CHECK (mode IN ('DRY', 'DEMO', 'REAL')),
    terminal         TEXT NOT NULL,                       -- simulated, native, remote
    login            INTEGER NOT NULL,
    server           TEXT NOT NULL,
    strategy_id      TEXT NOT NULL,
    strategy_file    TEXT NOT NULL,
    strategy_class   TEXT NOT NULL,
    strategy_sha256  TEXT NOT NULL,
    params           TEXT NOT NULL CHECK (json_valid(params)),
    params_file      TEXT,                                -- of --params-file
    params_sha256    TEXT,                                -- of that file
    settings         TEXT NOT NULL CHECK (json_valid(settings)),   -- no secrets
    versions         TEXT NOT NULL CHECK (json_valid(versions)),
    initial_balance  REAL NOT NULL,
    exit_code        INTEGER,
    end_reason       TEXT,
    summary          TEXT CHECK (summary IS NULL OR json_valid(summary))
) STRICT;

-- What was decided upon. The UNIQUE constraint is what makes a second decision on one bar impossible.
CREATE TABLE bars (
    id           INTEGER PRIMARY KEY,
    run_id       INTEGER NOT NULL REFERENCES runs,
    slot         TEXT NOT NULL,                           -- login@server/strategy_id/magic
    symbol       TEXT NOT NULL,
    timeframe    TEXT NOT NULL,                           -- H1
    bar_time     TEXT NOT NULL,                           -- the bar's open, UTC
    bar_epoch    INTEGER NOT NULL,                        -- the same on the server's clock, seconds: part of the order ids
    open         REAL NOT NULL,
    high         REAL NOT NULL,
    low          REAL NOT NULL,
    close        REAL NOT NULL,
    tick_volume  INTEGER NOT NULL,
    spread       INTEGER NOT NULL,                        -- points
    decided_at   TEXT NOT NULL,
    acted        INTEGER NOT NULL CHECK (acted IN (0, 1)),   -- 0: seen after a pause, replayed without acting
    shown        TEXT CHECK (shown IS NULL OR json_valid(shown)),   -- the account that the strategy was shown on it
    indicators   TEXT CHECK (indicators IS NULL OR json_valid(indicators)),   -- their values on it, in the order of `indicators`
    UNIQUE (slot, symbol, timeframe, bar_epoch)
) STRICT;

-- Bars that were seen and not decided upon: those that a strategy was warmed up with, those that came too late, and other
-- versions of a bar that was seen before. Of one bar the newest row counts; one that has none here is as `bars` has it.
CREATE TABLE history (
    id           INTEGER PRIMARY KEY,
    run_id       INTEGER NOT NULL REFERENCES runs,
    slot         TEXT NOT NULL,
    symbol       TEXT NOT NULL,
    timeframe    TEXT NOT NULL,
    bar_epoch    INTEGER NOT NULL,
    open         REAL NOT NULL,
    high         REAL NOT NULL,
    low          REAL NOT NULL,
    close        REAL NOT NULL,
    tick_volume  INTEGER NOT NULL,
    spread       INTEGER NOT NULL,
    seen_at      TEXT NOT NULL
) STRICT;
CREATE INDEX history_by_bar ON history (slot, symbol, timeframe, bar_epoch);

-- What the strategy of a run was warmed up with on one symbol, before its first decision.
CREATE TABLE warm_ups (
    id           INTEGER PRIMARY KEY,
    timestamp    TEXT NOT NULL,
    run_id       INTEGER NOT NULL REFERENCES runs,
    slot         TEXT NOT NULL,
    symbol       TEXT NOT NULL,
    timeframe    TEXT NOT NULL,
    bars         INTEGER NOT NULL,
    first_epoch  INTEGER,                                 -- NULL: there were none
    last_epoch   INTEGER,
    history_id   INTEGER NOT NULL,                        -- the newest row of history then: rows after it came later
    spec         TEXT NOT NULL CHECK (json_valid(spec)),  -- what the broker allowed on the symbol
    UNIQUE (run_id, symbol, timeframe)
) STRICT;

-- What a run's strategy declared with self.I, for those who draw it: one row for each line.
CREATE TABLE indicators (
    id           INTEGER PRIMARY KEY,
    run_id       INTEGER NOT NULL REFERENCES runs,
    slot         TEXT NOT NULL,
    symbol       TEXT NOT NULL,
    timeframe    TEXT NOT NULL,
    position     INTEGER NOT NULL,                        -- its place in bars.indicators
    name         TEXT NOT NULL,
    overlay      INTEGER NOT NULL CHECK (overlay IN (0, 1)),   -- 1: drawn over the prices
    scatter      INTEGER NOT NULL CHECK (scatter IN (0, 1)),   -- 1: drawn as dots
    before       TEXT NOT NULL CHECK (json_valid(before)),     -- its values on the last bars of the warm-up, oldest first
    UNIQUE (run_id, symbol, timeframe, position)
) STRICT;

CREATE TABLE signals (
    id               INTEGER PRIMARY KEY,
    timestamp        TEXT NOT NULL,
    run_id           INTEGER NOT NULL REFERENCES runs,
    strategy_id      TEXT NOT NULL,
    symbol           TEXT NOT NULL,
    timeframe        TEXT NOT NULL,
    bar_time         TEXT NOT NULL,
    signal           TEXT NOT NULL CHECK (signal IN ('BUY', 'SELL', 'CLOSE', 'PROTECT', 'CANCEL', 'HOLD')),
    confidence       REAL NOT NULL,
    price            REAL NOT NULL,                       -- close of the bar
    size             REAL,                                -- as the strategy gave it: units, or a fraction of equity
    limit_price      REAL,                                -- of BUY and SELL: the price that they wait for
    stop_price       REAL,
    stop_loss        REAL,
    take_profit      REAL,
    tag              TEXT CHECK (tag IS NULL OR json_valid(tag)),
    leg              INTEGER,                             -- ordinal among the bar's decisions
    client_order_id  TEXT,                                -- the intent in orders; NULL where there is none
    reason           TEXT                                 -- why there is none: warming up, missed, …
) STRICT;
CREATE INDEX signals_by_bar ON signals (symbol, bar_time);
CREATE INDEX signals_by_symbol ON signals (symbol);
CREATE INDEX signals_that_act ON signals (id) WHERE signal <> 'HOLD';
CREATE INDEX signals_by_order ON signals (client_order_id) WHERE client_order_id IS NOT NULL;

CREATE TABLE orders (
    id               INTEGER PRIMARY KEY,
    timestamp        TEXT NOT NULL,                       -- of the intent
    updated_at       TEXT NOT NULL,
    client_order_id  TEXT NOT NULL UNIQUE,
    order_key        TEXT NOT NULL UNIQUE,                -- 13 characters, sent as the order's comment
    run_id           INTEGER NOT NULL REFERENCES runs,
    slot             TEXT NOT NULL,
    strategy_id      TEXT NOT NULL,
    magic            INTEGER NOT NULL,
    symbol           TEXT NOT NULL,
    timeframe        TEXT NOT NULL,
    bar_time         TEXT NOT NULL,
    bar_epoch        INTEGER NOT NULL,
    kind             TEXT NOT NULL CHECK (kind IN ('ENTRY', 'PENDING', 'CANCEL', 'EXIT', 'PARTIAL', 'SLTP', 'FLATTEN')),
    leg              TEXT NOT NULL,
    side             TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    order_type       TEXT NOT NULL,                       -- MARKET, LIMIT, STOP, STOP_LIMIT
    size             REAL,                                -- as decided: units, or a fraction of equity
    volume           REAL,                                -- lots asked for; NULL until a request was made
    price            REAL,                                -- quote when the request was made
    limit_price      REAL,                                -- as decided; of an order that waits for its price
    stop_price       REAL,
    sl               REAL,
    tp               REAL,
    position_ticket  INTEGER,                             -- the position that it closes or protects
    cancels          TEXT,                                -- client_order_id of the waiting order that it removes
    tag              TEXT CHECK (tag IS NULL OR json_valid(tag)),
    status           TEXT NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    retcode          INTEGER,
    retcode_message  TEXT,
    message          TEXT,                                -- one sentence for people
    mt5_order_id     INTEGER,
    mt5_deal_id      INTEGER,
    executed_price   REAL,                                -- volume-weighted, from the deals
    executed_volume  REAL,                                -- lots, from the deals
    request          TEXT CHECK (request IS NULL OR json_valid(request))
) STRICT;
CREATE INDEX orders_by_status ON orders (status);
CREATE INDEX orders_by_time ON orders (timestamp);
CREATE INDEX orders_by_position ON orders (position_ticket);
CREATE INDEX orders_by_ticket ON orders (slot, mt5_order_id);
CREATE INDEX orders_by_bar ON orders (slot, symbol, bar_epoch);
CREATE INDEX orders_by_symbol ON orders (symbol);
CREATE INDEX orders_by_slot ON orders (slot, timestamp);

CREATE TABLE order_events (
    seq              INTEGER PRIMARY KEY,
    timestamp        TEXT NOT NULL,
    run_id           INTEGER NOT NULL REFERENCES runs,
    client_order_id  TEXT NOT NULL,
    attempt          INTEGER NOT NULL,
    from_status      TEXT,
    to_status        TEXT NOT NULL,
    payload          TEXT NOT NULL CHECK (json_valid(payload)),
    prev_hash        TEXT NOT NULL,
    hash             TEXT NOT NULL UNIQUE
) STRICT;
CREATE UNIQUE INDEX one_send_per_attempt ON order_events (client_order_id, attempt) WHERE to_status = 'SUBMITTED';
CREATE INDEX order_events_by_time ON order_events (timestamp);
CREATE INDEX order_events_by_order ON order_events (client_order_id);

CREATE TABLE fills (
    slot             TEXT NOT NULL,                       -- deal tickets are unique on one account only
    deal_ticket      INTEGER NOT NULL,                    -- on a netting account, a row for each trade that the deal closes or opens
    timestamp        TEXT NOT NULL,
    epoch            INTEGER NOT NULL,                    -- the same on the server's clock, seconds
    run_id           INTEGER NOT NULL REFERENCES runs,
    order_ticket     INTEGER NOT NULL,
    position_id      INTEGER NOT NULL,
    client_order_id  TEXT,
    symbol           TEXT NOT NULL,
    side             TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    entry            TEXT NOT NULL CHECK (entry IN ('IN', 'OUT', 'INOUT', 'OUT_BY')),
    volume           REAL NOT NULL,
    price            REAL NOT NULL,
    profit           REAL NOT NULL,
    commission       REAL NOT NULL,
    swap             REAL NOT NULL,
    fee              REAL NOT NULL,
    reason           INTEGER NOT NULL,                    -- DEAL_REASON_*
    magic            INTEGER NOT NULL,
    comment          TEXT NOT NULL,
    PRIMARY KEY (slot, deal_ticket, position_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX fills_by_position ON fills (slot, position_id);
CREATE INDEX fills_by_order ON fills (client_order_id);
CREATE INDEX fills_by_time ON fills (slot, timestamp, deal_ticket);

-- One row per closing deal and position: what backtesting.py calls a closed trade.
CREATE TABLE trades (
    id                INTEGER PRIMARY KEY,
    timestamp         TEXT NOT NULL,                      -- of the exit
    run_id            INTEGER NOT NULL REFERENCES runs,
    slot              TEXT NOT NULL,
    strategy_id       TEXT NOT NULL,
    symbol            TEXT NOT NULL,
    side              TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    entry_time        TEXT NOT NULL,
    exit_time         TEXT NOT NULL,
    entry_price       REAL NOT NULL,
    exit_price        REAL NOT NULL,
    volume            REAL NOT NULL,                      -- lots
    size              REAL NOT NULL,                      -- units, negative for short: backtesting.py's Size
    profit            REAL NOT NULL,                      -- gross, account currency, as MetaTrader shows it
    commission        REAL NOT NULL,                      -- entry's share and exit's, negative is a cost
    swap              REAL NOT NULL,
    net_profit        REAL NOT NULL,
    duration_seconds  REAL NOT NULL,
    exit_reason       TEXT NOT NULL,                      -- strategy, stop loss, take profit, stop out, manual, kill switch
    position_ticket   INTEGER NOT NULL,
    exit_deal         INTEGER NOT NULL,
    tag               TEXT CHECK (tag IS NULL OR json_valid(tag)),
    UNIQUE (slot, exit_deal, position_ticket)
) STRICT;
CREATE INDEX trades_by_time ON trades (timestamp);
CREATE INDEX trades_by_symbol ON trades (symbol);
CREATE INDEX trades_by_reason ON trades (exit_reason);
CREATE INDEX trades_by_position ON trades (slot, position_ticket);

CREATE TABLE positions (
    slot           TEXT NOT NULL,
    ticket         INTEGER NOT NULL,
    updated_at     TEXT NOT NULL,
    strategy_id    TEXT NOT NULL,
    symbol         TEXT NOT NULL,
    side           TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    volume         REAL NOT NULL,
    entry_price    REAL NOT NULL,
    entry_time     TEXT NOT NULL,
    sl             REAL,
    tp             REAL,
    price_current  REAL NOT NULL,
    profit         REAL NOT NULL,
    swap           REAL NOT NULL,
    profit_at_stop REAL,                                  -- what it makes where its stop loss is hit, account currency; NULL: not known
    PRIMARY KEY (slot, ticket)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    timestamp   TEXT NOT NULL,
    run_id      INTEGER REFERENCES runs,
    event_type  TEXT NOT NULL,
    severity    TEXT NOT NULL CHECK (severity IN ('INFO', 'WARNING', 'ERROR', 'CRITICAL')),
    message     TEXT NOT NULL,
    details     TEXT NOT NULL CHECK (json_valid(details))
) STRICT;
CREATE INDEX events_by_time ON events (timestamp);
CREATE INDEX events_by_severity ON events (severity);
CREATE INDEX events_by_type ON events (event_type);

CREATE TABLE account_snapshots (
    id              INTEGER PRIMARY KEY,
    timestamp       TEXT NOT NULL,
    run_id          INTEGER NOT NULL REFERENCES runs,
    balance         REAL NOT NULL,
    equity          REAL NOT NULL,
    margin          REAL NOT NULL,
    free_margin     REAL NOT NULL,
    profit          REAL NOT NULL,
    open_positions  INTEGER NOT NULL
) STRICT;
CREATE INDEX account_snapshots_by_time ON account_snapshots (timestamp);

-- What people are to be told, each in the transaction of what it tells of; with ENABLE_ALERTS=true. What became of it on which
-- channel is in the file AUDIT_DB_PATH.alerts.db beside this one, which the process that delivers them writes.
CREATE TABLE alerts (
    id         INTEGER PRIMARY KEY,
    timestamp  TEXT NOT NULL,
    run_id     INTEGER REFERENCES runs,
    queued_at  TEXT NOT NULL,                             -- the machine's clock, also in a replay
    type       TEXT NOT NULL CHECK (type IN ('signal', 'order', 'position', 'risk', 'system', 'error', 'performance')),
    level      TEXT NOT NULL CHECK (level IN ('INFO', 'WARNING', 'ERROR', 'CRITICAL')),
    kind       TEXT NOT NULL,                             -- the event's type, or what became of an order: ORDER_FILLED
    symbol     TEXT NOT NULL,                             -- '' where it is about none
    message    TEXT NOT NULL,
    details    TEXT NOT NULL CHECK (json_valid(details))
) STRICT;

-- What each run has done so far, kept by the triggers below: a count over millions of rows takes longer than a page may.
CREATE TABLE run_totals (
    run_id            INTEGER PRIMARY KEY,
    bars              INTEGER NOT NULL DEFAULT 0,
    signals           INTEGER NOT NULL DEFAULT 0,         -- but for HOLD
    orders_sent       INTEGER NOT NULL DEFAULT 0,
    orders_filled     INTEGER NOT NULL DEFAULT 0,
    orders_refused    INTEGER NOT NULL DEFAULT 0,         -- by the broker
    orders_denied     INTEGER NOT NULL DEFAULT 0,         -- by our own rules
    positions_opened  INTEGER NOT NULL DEFAULT 0,
    positions_traded  INTEGER NOT NULL DEFAULT 0,         -- of which at least a part was closed
    trades            INTEGER NOT NULL DEFAULT 0,
    winning_trades    INTEGER NOT NULL DEFAULT 0,
    losing_trades     INTEGER NOT NULL DEFAULT 0,
    profit            REAL NOT NULL DEFAULT 0             -- net, of closed trades
) STRICT;
CREATE TRIGGER run_totals_of_bars AFTER INSERT ON bars BEGIN
    INSERT INTO run_totals (run_id) SELECT NEW.run_id WHERE NOT EXISTS (SELECT 1 FROM run_totals WHERE run_id = NEW.run_id);
    UPDATE run_totals SET bars = bars + 1 WHERE run_id = NEW.run_id;
END;
CREATE TRIGGER run_totals_of_signals AFTER INSERT ON signals WHEN NEW.signal <> 'HOLD' BEGIN
    INSERT INTO run_totals (run_id) SELECT NEW.run_id WHERE NOT EXISTS (SELECT 1 FROM run_totals WHERE run_id = NEW.run_id);
    UPDATE run_totals SET signals = signals + 1 WHERE run_id = NEW.run_id;
END;
CREATE TRIGGER run_totals_of_new_orders AFTER INSERT ON orders BEGIN
    INSERT INTO run_totals (run_id) SELECT NEW.run_id WHERE NOT EXISTS (SELECT 1 FROM run_totals WHERE run_id = NEW.run_id);
    UPDATE run_totals SET
        orders_sent = orders_sent + (NEW.attempts > 0),
        orders_filled = orders_filled + (NEW.status IN ('FILLED', 'PARTIALLY_FILLED', 'LATE_FILLED')),
        orders_refused = orders_refused + (NEW.status = 'FAILED'),
        orders_denied = orders_denied + (NEW.status = 'DENIED'),
        positions_opened = positions_opened
            + (NEW.kind IN ('ENTRY', 'PENDING') AND NEW.status IN ('FILLED', 'PARTIALLY_FILLED', 'LATE_FILLED'))
    WHERE run_id = NEW.run_id;
END;
CREATE TRIGGER run_totals_of_moved_orders AFTER UPDATE OF status, attempts ON orders BEGIN
    UPDATE run_totals SET
        orders_sent = orders_sent + (NEW.attempts > 0) - (OLD.attempts > 0),
        orders_filled = orders_filled + (NEW.status IN ('FILLED', 'PARTIALLY_FILLED', 'LATE_FILLED'))
            - (OLD.status IN ('FILLED', 'PARTIALLY_FILLED', 'LATE_FILLED')),
        orders_refused = orders_refused + (NEW.status = 'FAILED') - (OLD.status = 'FAILED'),
        orders_denied = orders_denied + (NEW.status = 'DENIED') - (OLD.status = 'DENIED'),
        positions_opened = positions_opened
            + (NEW.kind IN ('ENTRY', 'PENDING') AND NEW.status IN ('FILLED', 'PARTIALLY_FILLED', 'LATE_FILLED'))
            - (OLD.kind IN ('ENTRY', 'PENDING') AND OLD.status IN ('FILLED', 'PARTIALLY_FILLED', 'LATE_FILLED'))
    WHERE run_id = NEW.run_id;
END;
CREATE TRIGGER run_totals_of_trades AFTER INSERT ON trades BEGIN
    INSERT INTO run_totals (run_id) SELECT NEW.run_id WHERE NOT EXISTS (SELECT 1 FROM run_totals WHERE run_id = NEW.run_id);
    UPDATE run_totals SET
        trades = trades + 1,
        winning_trades = winning_trades + (NEW.net_profit > 0),
        losing_trades = losing_trades + (NEW.net_profit < 0),
        profit = coalesce(profit + NEW.net_profit, 0),   -- infinity less infinity is no number
        positions_traded = positions_traded + NOT EXISTS (
            SELECT 1 FROM trades
            WHERE slot = NEW.slot AND position_ticket = NEW.position_ticket AND run_id = NEW.run_id AND id <> NEW.id
        )
    WHERE run_id = NEW.run_id;
END;

-- What is true now, one JSON value a key. "at" and "market_time" are the session's clock, virtual in a replay, "wall" the machine's.
--   heartbeat    {"at": "2017-04-19T09:00:00+00:00", "wall": "2026-01-05T12:00:00+00:00", "pid": 4711}
--   market_time  "2017-04-19T09:00:00+00:00"
--   trading      {"enabled": false, "reason": "why no entries are sent"}
--   kill_switch  {"active": false, "file": "the one that is there, or would stop the trader"}
--   stop         {"since": the machine's time, "reason": "EMERGENCY_STOP exists …"} until somebody resumes; else null
--   account      {"balance", "equity", "margin", "free_margin": money, "currency": "USD", "leverage": 100}
--   progress     {"bars": 120, "total": 5000}, of a replay; else nulls
--   limits       [{"rule": "MAX_POSITIONS", "measured": 2, "limit": 10}], each limit that stops entries and how near it is
--   day          {"date": "2017-04-19", "opening_equity": 10000.0}, the broker's day; the same as "day SLOT" for each slot
--   identity SLOT      [login, server, trade mode, margin mode, currency]: the kind of account that this record is of
--   holds SLOT         {"open": [{"name", "symbol": "" is all, "sentence", "since"}], "released": [names]}: what keeps entries back
--   acknowledged SLOT  [tickets] with our magic number that are not on record, and keep no entry back
CREATE TABLE state (
    key         TEXT PRIMARY KEY,
    value       TEXT NOT NULL CHECK (json_valid(value)),
    updated_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER bars_are_evidence_u BEFORE UPDATE ON bars BEGIN SELECT RAISE(ABORT, 'bars is append-only'); END;
CREATE TRIGGER bars_are_evidence_d BEFORE DELETE ON bars BEGIN SELECT RAISE(ABORT, 'bars is append-only'); END;
CREATE TRIGGER history_is_evidence_u BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_is_evidence_d BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER warm_ups_are_evidence_u BEFORE UPDATE ON warm_ups BEGIN SELECT RAISE(ABORT, 'warm_ups is append-only'); END;
CREATE TRIGGER warm_ups_are_evidence_d BEFORE DELETE ON warm_ups BEGIN SELECT RAISE(ABORT, 'warm_ups is append-only'); END;
CREATE TRIGGER indicators_are_evidence_u BEFORE UPDATE ON indicators BEGIN SELECT RAISE(ABORT, 'indicators is append-only'); END;
CREATE TRIGGER indicators_are_evidence_d BEFORE DELETE ON indicators BEGIN SELECT RAISE(ABORT, 'indicators is append-only'); END;
CREATE TRIGGER signals_are_evidence_u BEFORE UPDATE ON signals BEGIN SELECT RAISE(ABORT, 'signals is append-only'); END;
CREATE TRIGGER signals_are_evidence_d BEFORE DELETE ON signals BEGIN SELECT RAISE(ABORT, 'signals is append-only'); END;
CREATE TRIGGER order_events_are_evidence_u BEFORE UPDATE ON order_events BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER order_events_are_evidence_d BEFORE DELETE ON order_events BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
CREATE TRIGGER fills_are_evidence_u BEFORE UPDATE ON fills BEGIN SELECT RAISE(ABORT, 'fills is append-only'); END;
CREATE TRIGGER fills_are_evidence_d BEFORE DELETE ON fills BEGIN SELECT RAISE(ABORT, 'fills is append-only'); END;
CREATE TRIGGER trades_are_evidence_u BEFORE UPDATE ON trades BEGIN SELECT RAISE(ABORT, 'trades is append-only'); END;
CREATE TRIGGER trades_are_evidence_d BEFORE DELETE ON trades BEGIN SELECT RAISE(ABORT, 'trades is append-only'); END;
CREATE TRIGGER events_are_evidence_u BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;
CREATE TRIGGER events_are_evidence_d BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;
CREATE TRIGGER orders_are_never_deleted BEFORE DELETE ON orders BEGIN SELECT RAISE(ABORT, 'orders are never deleted'); END;
