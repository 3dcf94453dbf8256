"""What the trained network is like: score, baselines, calibration, mistakes, how it learned, the card."""
