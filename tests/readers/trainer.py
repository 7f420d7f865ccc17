"""What Hugging Face datasets and TRL make of an export: ``python -S trainer.py LIBRARIES EXPORT`` prints it as JSON."""

import json
import sys

sys.path.insert(0, sys.argv[1])

import datasets
from trl import data_utils

loaded = datasets.load_dataset(sys.argv[2])
train = loaded["train"]
unpaired = data_utils.maybe_unpair_preference_dataset(train)
print(
    json.dumps(
        {
            "splits": {name: split.num_rows for name, split in loaded.items()},
            "features": {name: feature.dtype for name, feature in train.features.items()},
            "conversational": data_utils.is_conversational(train[0]),
            "rows": [row for split in loaded.values() for row in split],
            "unpaired": unpaired.select_columns(["prompt", "completion", "label"]).to_list(),
        }
    )
)
