-- What a table holds, whatever the order of its rows and the files that they are in: number of rows, and sums of hashes.
-- Reads  chosen. MD5 of a row's values as JSON, in the order of its columns; sums of 64-bit halves do not overflow.
SELECT
    count(*) AS n,
    CAST(coalesce(sum(CAST(md5_number_lower(row_text) AS HUGEINT)), 0) AS VARCHAR) AS low,
    CAST(coalesce(sum(CAST(md5_number_upper(row_text) AS HUGEINT)), 0) AS VARCHAR) AS high
FROM (SELECT CAST(to_json(c) AS VARCHAR) AS row_text FROM chosen c)
