-- Lower end of the Wilson score interval (1927) of a share.
CREATE MACRO wilson_low(successes, trials, z := 1.959963984540054) AS
    CASE WHEN trials > 0 THEN greatest(0.0, (
        successes::DOUBLE + pow(z, 2) / 2
        - z::DOUBLE * sqrt(successes::DOUBLE * (trials - successes) / trials + pow(z, 2) / 4)
    ) / (trials + pow(z, 2))) END;
COMMENT ON MACRO wilson_low IS
    'Lower end of the 95 % Wilson score interval of successes / trials; NULL where there are no trials; z is the quantile.';
