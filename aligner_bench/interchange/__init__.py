"""Import of other tools' results as runs, and export of runs in other tools' formats."""
