-- What is exported of  judged.  Prompts that differ by case and white space only are one for the split, so that none is
-- trained on and tested on.
SELECT
    * EXCLUDE (result, left_out),
    if(
        md5_number_lower($seed || ' ' || lower(trim(regexp_replace(prompt, '\s+', ' ', 'g')))) % 1000000
        < $held_out * 1000000,
        'test', 'train'
    ) AS split
FROM (
    SELECT *
    FROM (
        SELECT * FROM judged WHERE left_out IS NULL {first_of_prompt}
    )
    {first_of_model}
)
