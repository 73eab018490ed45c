#!/usr/bin/env bash
# A mask that selects rows of every table selects columns of an empty one.
#
# Versions: pandas 3.1.1.
# Guess: frame[frame["x"].map(math.isfinite)] keeps the rows that pass, whatever their number; of a table without rows
#   it is the table without rows, its columns as they were.
# Seen: map() of an empty column of objects gives a column of objects, not of booleans. frame[mask] then reads the empty
#   mask as a list of column names and returns a table without columns; frame.loc[mask] keeps them. The next line that
#   asks for a column raises a KeyError, only on the day on which nothing came in.
# Source: pandas/core/frame.py of that version, DataFrame.__getitem__, and pandas/core/common.py, is_bool_indexer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pandas==3.1.1"
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import math

import pandas as pd

for rows in ([1.0, math.inf], []):
    frame = pd.DataFrame({"loss": pd.Series(rows, dtype=object), "step": range(len(rows))})
    mask = frame["loss"].map(math.isfinite)
    print(len(rows), list(frame[mask].columns), list(frame.loc[mask].columns))
PYTHON
)
echo "$seen"
[ "$seen" = $'2 [\'loss\', \'step\'] [\'loss\', \'step\']\n0 [] [\'loss\', \'step\']' ]
