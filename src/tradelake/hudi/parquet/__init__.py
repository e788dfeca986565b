"""Parquet files taken apart into pages and put together again, without decoding what stays."""
