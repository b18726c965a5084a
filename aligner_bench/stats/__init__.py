"""Pure functions on arrays: win rates, intervals, tests, power, length control, ratings.

This room reads no files and does not depend on runs. A *preference* is one number in [0, 1] per prompt, for
the candidate (the mean of both orders): above 0.5 a win, below a loss, exactly 0.5 a tie. *Clusters* are
labels of prompt families (any hashable); prompts of one family are not independent. Rates are fractions,
never percent. Import from the modules; the package itself imports nothing.
"""
