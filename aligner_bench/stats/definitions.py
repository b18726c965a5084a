"""The definitions of a win rate, in words; ``winrate`` computes them. Imports nothing."""

from __future__ import annotations

DEFINITIONS: dict[str, str] = {
    "strict": "wins among decided prompts; ties are left out (Ngweta et al., as coded)",
    "strict_all": "wins among all prompts; a tie is not a win (Ngweta et al., as worded)",
    "discrete": "wins plus half of the ties, among all prompts (AlpacaEval's discrete win rate)",
    "weighted": "mean of the graded preferences, as AlpacaEval 2 averages them",
    "omega": "wins minus losses, among all prompts, from -1 to 1 (Ji et al., eq. 5)",
    "compare_no_drop": "share of prompts that are not lost; a tie counts as a win",
    "macro": "unweighted mean over categories of the strict rate (Ngweta et al., tables 3 and 6)",
}
