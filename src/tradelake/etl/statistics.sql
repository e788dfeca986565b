-- The hourly statistics: from rows of crypto.processed_crypto_txn (the relation `trades`) to rows
-- of crypto.hourly_trade_stats, but for source_instant. Whole parts and fractions of the value are
-- summed apart, so that an hour too large for DECIMAL(38,16) has a null value and no failure.
SELECT
  exchange, trading_pair, hour_bucket,
  trades, high_risk, medium_risk, low_risk, quantity, fees,
  TRY(whole_value + part_value) AS value,
  open, high, low, close
FROM (
  SELECT
    exchange,
    trading_pair,
    hour_bucket,
    COUNT(*) AS trades,
    COUNT(*) FILTER (WHERE risk_flag = 'HIGH_RISK') AS high_risk,
    COUNT(*) FILTER (WHERE risk_flag = 'MEDIUM_RISK') AS medium_risk,
    COUNT(*) FILTER (WHERE risk_flag = 'LOW_RISK') AS low_risk,
    CAST(SUM(quantity) AS DECIMAL(38,8)) AS quantity,
    CAST(SUM(trade_fee) AS DECIMAL(38,8)) AS fees,
    TRY_CAST(SUM(CAST(TRUNC(value) AS DECIMAL(38,0))) AS DECIMAL(38,16)) AS whole_value,
    CAST(SUM(value - TRUNC(value)) AS DECIMAL(38,16)) AS part_value,
    MIN_BY(price, (timestamp, transaction_id)) AS open,
    MAX(price) AS high,
    MIN(price) AS low,
    MAX_BY(price, (timestamp, transaction_id)) AS close
  FROM (SELECT *, CAST(quantity AS DECIMAL(19,8)) * price AS value FROM trades)
  GROUP BY exchange, trading_pair, hour_bucket
)
