-- The business rules: from a typed trade to a row of crypto.processed_crypto_txn.
--
-- One text for every engine (DuckDB and Spark SQL give the same decimals for it). It reads the
-- relation `trades`: the twelve fields (timestamp in UTC; price, quantity, trade_fee DECIMAL(18,8))
-- and event_name, event_id, region, change_time, change_order, ingestion_time.
-- The names in braces are the numbers of thresholds.toml. The cast of a product rounds half up; one that does
-- not fit is NULL, and the record goes to the quarantine as does_not_fit. DECIMAL(19,8) before a product makes
-- DuckDB multiply in 128 bits, and keeps Spark's result type within 38 digits.
SELECT
  transaction_id,
  timestamp,
  exchange,
  trading_pair,
  order_type,
  price,
  quantity,
  trade_fee,
  trade_status,
  user_id,
  wallet_address,
  order_source,
  event_name,
  event_id,
  region,
  change_time,
  change_order,
  ingestion_time,
  CASE
    WHEN CAST(quantity AS DECIMAL(19,8)) * price > ${risk_high} THEN 'HIGH_RISK'
    WHEN CAST(quantity AS DECIMAL(19,8)) * price > ${risk_medium} THEN 'MEDIUM_RISK'
    ELSE 'LOW_RISK'
  END AS risk_flag,
  TRY_CAST(CAST(price AS DECIMAL(19,8)) * ${normalization_factor} AS DECIMAL(18,8)) AS normalized_price,
  TRY_CAST(
    CASE
      WHEN CAST(quantity AS DECIMAL(19,8)) * price >= ${fee_large_from} THEN CAST(trade_fee AS DECIMAL(19,8)) * ${fee_large_factor}
      WHEN CAST(quantity AS DECIMAL(19,8)) * price >= ${fee_medium_from} THEN CAST(trade_fee AS DECIMAL(19,8)) * ${fee_medium_factor}
      ELSE CAST(trade_fee AS DECIMAL(19,8)) * ${one}
    END AS DECIMAL(18,8)
  ) AS adjusted_trade_fee,
  CASE
    WHEN quantity > ${category_vip} THEN 'VIP Trader'
    WHEN quantity > ${category_active} THEN 'Active Trader'
    ELSE 'Casual Trader'
  END AS user_category,
  CONCAT(SUBSTRING(CAST(timestamp AS STRING), 1, 13), ':00:00') AS hour_bucket
FROM trades
