"""The page of evidence, made from the records of the study."""
