"""Audits of judges and outputs: known winners, canaries, screens, calibration and bridges."""
