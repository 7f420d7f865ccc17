-- Whether an interval covers a value.
CREATE MACRO covers(low, high, value) AS value >= low AND value <= high;
COMMENT ON MACRO covers IS 'Whether the interval from low to high, both included, has the value in it.';
