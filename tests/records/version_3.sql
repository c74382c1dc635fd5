-- A record as version 3 of the schema left it, with rows.
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
INSERT INTO "account_snapshots" VALUES(1,'2018-02-05T10:00:00+00:00',1,10000.0,10001.0,5.0,9996.0,1.0,1);
CREATE TABLE alerts (
    id         INTEGER PRIMARY KEY,
    timestamp  TEXT NOT NULL,
    run_id     INTEGER REFERENCES runs,
    type       TEXT NOT NULL,
    level      TEXT NOT NULL,
    message    TEXT NOT NULL,
    channel    TEXT,
    delivered  TEXT
) STRICT;
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
    UNIQUE (slot, symbol, timeframe, bar_epoch)
) STRICT;
INSERT INTO "bars" VALUES(1,1,'12345678@Demo/Server@x/sma_cross/123456','EURUSD','H1','2018-02-05T10:00:00+00:00',1517824800,1.24,1.25,1.23,1.245,100,0,'2018-02-05T10:00:00+00:00',1,NULL);
CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    timestamp   TEXT NOT NULL,
    run_id      INTEGER REFERENCES runs,
    event_type  TEXT NOT NULL,
    severity    TEXT NOT NULL CHECK (severity IN ('INFO', 'WARNING', 'ERROR', 'CRITICAL')),
    message     TEXT NOT NULL,
    details     TEXT NOT NULL CHECK (json_valid(details))
) STRICT;
INSERT INTO "events" VALUES(1,'2018-02-05T10:00:00+00:00',1,'STARTUP','INFO','begins','{}');
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
INSERT INTO "fills" VALUES('12345678@Demo/Server@x/sma_cross/123456',70000002,'2018-02-05T10:00:00+00:00',1517824800,1,50000001,50000001,NULL,'EURUSD','BUY','IN',0.1,1.245,0.0,-0.25,0.0,0.0,3,123456,'qABCDEFGHIJKL');
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
INSERT INTO "history" VALUES(1,1,'12345678@Demo/Server@x/sma_cross/123456','EURUSD','H1',1517821200,1.24,1.25,1.23,1.245,90,2,'2018-02-05T10:00:00+00:00');
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
INSERT INTO "order_events" VALUES(1,'2018-02-05T10:00:00+00:00',1,'DJE4W2QP7CDV4EB4H2SJHAK3ANAZR7KL',0,NULL,'PENDING','{}','','d802dc0fa417c5f07c0c9a21fc091f7cde7d69a6679e4ac3e5cab1f08d3715f2');
INSERT INTO "order_events" VALUES(2,'2018-02-05T10:00:00+00:00',1,'DJE4W2QP7CDV4EB4H2SJHAK3ANAZR7KL',1,'PENDING','SUBMITTED','{"step": "SUBMITTED"}','d802dc0fa417c5f07c0c9a21fc091f7cde7d69a6679e4ac3e5cab1f08d3715f2','11002c809453b41a8e40c7c5c2014cdafdef8eecf131b77a31d4112fbb7e6a6e');
INSERT INTO "order_events" VALUES(3,'2018-02-05T10:00:00+00:00',1,'DJE4W2QP7CDV4EB4H2SJHAK3ANAZR7KL',1,'SUBMITTED','PLACED','{"step": "PLACED"}','11002c809453b41a8e40c7c5c2014cdafdef8eecf131b77a31d4112fbb7e6a6e','ff145af5c2a4fa573e900aff6a407d7b4d7b4eecd04bf7da271ee150cee9b734');
INSERT INTO "order_events" VALUES(4,'2018-02-05T10:00:00+00:00',1,'DJE4W2QP7CDV4EB4H2SJHAK3ANAZR7KL',1,'PLACED','FILLED','{"step": "FILLED"}','ff145af5c2a4fa573e900aff6a407d7b4d7b4eecd04bf7da271ee150cee9b734','01ed46eab6b6f868eb31b00e934e437d0fd2c5eb476833a85bf0857f37c73dd7');
INSERT INTO "order_events" VALUES(5,'2018-02-05T10:00:00+00:00',1,'P5POEH7L64QPTLEDULQ3CP4SVUMIWAFD',0,NULL,'PENDING','{}','01ed46eab6b6f868eb31b00e934e437d0fd2c5eb476833a85bf0857f37c73dd7','9280c616e365fbbf9eb3d7f5f51262a8ba789344e23850b201b9febedc7b4bf1');
INSERT INTO "order_events" VALUES(6,'2018-02-05T10:00:00+00:00',1,'P5POEH7L64QPTLEDULQ3CP4SVUMIWAFD',0,'PENDING','DENIED','{"reason": "max positions"}','9280c616e365fbbf9eb3d7f5f51262a8ba789344e23850b201b9febedc7b4bf1','b1594ee9d1b989705fbdcbd5eb68393406f016ed901d8a144fcd0232ffdcc9f2');
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
INSERT INTO "orders" VALUES(1,'2018-02-05T10:00:00+00:00','2018-02-05T10:00:00+00:00','DJE4W2QP7CDV4EB4H2SJHAK3ANAZR7KL','qDJE4W2QP7CDV',1,'12345678@Demo/Server@x/sma_cross/123456','sma_cross',123456,'EURUSD','H1','2018-02-05T10:00:00+00:00',1517824800,'ENTRY','0','BUY','MARKET',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'FILLED',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "orders" VALUES(2,'2018-02-05T10:00:00+00:00','2018-02-05T10:00:00+00:00','P5POEH7L64QPTLEDULQ3CP4SVUMIWAFD','qP5POEH7L64QP',1,'12345678@Demo/Server@x/sma_cross/123456','sma_cross',123456,'EURUSD','H1','2018-02-05T10:00:00+00:00',1517824800,'ENTRY','1','BUY','MARKET',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'DENIED',0,NULL,NULL,'max positions: 1 of 1',NULL,NULL,NULL,NULL,NULL);
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
    PRIMARY KEY (slot, ticket)
) STRICT, WITHOUT ROWID;
INSERT INTO "positions" VALUES('12345678@Demo/Server@x/sma_cross/123456',1,'2018-02-05T10:00:00+00:00','sma_cross','EURUSD','BUY',0.1,1.2,'2018-02-05T10:00:00+00:00',NULL,NULL,1.3,5.0,0.0);
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
    settings         TEXT NOT NULL CHECK (json_valid(settings)),   -- no secrets
    versions         TEXT NOT NULL CHECK (json_valid(versions)),
    initial_balance  REAL NOT NULL,
    exit_code        INTEGER,
    end_reason       TEXT,
    summary          TEXT CHECK (summary IS NULL OR json_valid(summary))
) STRICT;
INSERT INTO "runs" VALUES(1,'2018-02-05T10:00:00+00:00','2018-02-05T10:00:00+00:00','12345678@Demo/Server@x/sma_cross/123456','DRY','simulated',12345678,'Demo/Server@x','sma_cross','sma_cross.py','SmaCross','0000000000000000000000000000000000000000000000000000000000000000','{}','{}','{}',10000.0,0,'the replayed prices end here','{"bars": 1}');
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
INSERT INTO "signals" VALUES(1,'2018-02-05T10:00:00+00:00',1,'sma_cross','EURUSD','H1','2018-02-05T10:00:00+00:00','HOLD',0.0,1.245,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE state (
    key         TEXT PRIMARY KEY,
    value       TEXT NOT NULL CHECK (json_valid(value)),
    updated_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "state" VALUES('day','{"date": "2018-02-05", "opening_equity": 10000.0}','2018-02-05T10:00:00+00:00');
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
INSERT INTO "trades" VALUES(1,'2018-02-05T10:00:00+00:00',1,'12345678@Demo/Server@x/sma_cross/123456','sma_cross','EURUSD','BUY','2018-02-05T10:00:00+00:00','2018-02-05T10:00:00+00:00',1.24,1.25,0.1,10000.0,0.0,0.0,0.0,0.0,0.0,'strategy',50000001,70000003,'"x"');
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
INSERT INTO "warm_ups" VALUES(1,'2018-02-05T10:00:00+00:00',1,'12345678@Demo/Server@x/sma_cross/123456','EURUSD','H1',1,1517821200,1517821200,1,'{"contract_size": 100000.0}');
CREATE INDEX history_by_bar ON history (slot, symbol, timeframe, bar_epoch);
CREATE INDEX signals_by_bar ON signals (symbol, bar_time);
CREATE INDEX orders_by_status ON orders (status);
CREATE INDEX orders_by_time ON orders (timestamp);
CREATE INDEX orders_by_position ON orders (position_ticket);
CREATE INDEX orders_by_ticket ON orders (slot, mt5_order_id);
CREATE INDEX orders_by_bar ON orders (slot, symbol, bar_epoch);
CREATE UNIQUE INDEX one_send_per_attempt ON order_events (client_order_id, attempt) WHERE to_status = 'SUBMITTED';
CREATE INDEX order_events_by_time ON order_events (timestamp);
CREATE INDEX fills_by_position ON fills (slot, position_id);
CREATE INDEX trades_by_time ON trades (timestamp);
CREATE INDEX events_by_time ON events (timestamp);
CREATE INDEX account_snapshots_by_time ON account_snapshots (timestamp);
CREATE TRIGGER bars_are_evidence_u BEFORE UPDATE ON bars BEGIN SELECT RAISE(ABORT, 'bars is append-only'); END;
CREATE TRIGGER bars_are_evidence_d BEFORE DELETE ON bars BEGIN SELECT RAISE(ABORT, 'bars is append-only'); END;
CREATE TRIGGER history_is_evidence_u BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_is_evidence_d BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER warm_ups_are_evidence_u BEFORE UPDATE ON warm_ups BEGIN SELECT RAISE(ABORT, 'warm_ups is append-only'); END;
CREATE TRIGGER warm_ups_are_evidence_d BEFORE DELETE ON warm_ups BEGIN SELECT RAISE(ABORT, 'warm_ups is append-only'); END;
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
