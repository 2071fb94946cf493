"""Detection experiments: detectors of machine text, their ROC curves and ways to evade them."""
