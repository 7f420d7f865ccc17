-- What a viewer did with an impression, and whether it led to a purchase.
-- Reads  labelled (outcomes that count). {values}: every signal of the rule but those on the way to a purchase. Of many
-- viewers a share of 1 in $one_in is taken, always the same ones.
SELECT viewer, {values}, coalesce(purchased, false) AS happened
FROM labelled
WHERE viewer % $one_in = 0
ORDER BY ALL
