-- Upper end of the Wilson score interval (1927) of a share.
CREATE MACRO wilson_high(successes, trials, z := 1.959963984540054) AS
    CASE WHEN trials > 0 THEN least(1.0, (
        successes::DOUBLE + pow(z, 2) / 2
        + z::DOUBLE * sqrt(successes::DOUBLE * (trials - successes) / trials + pow(z, 2) / 4)
    ) / (trials + pow(z, 2))) END;
COMMENT ON MACRO wilson_high IS
    'Upper end of the 95 % Wilson score interval of successes / trials; NULL where there are no trials; z is the quantile.';
