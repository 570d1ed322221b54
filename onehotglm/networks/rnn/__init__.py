"""Recurrent networks whose neurons have trainable timescales.

Follows Khajehabdollahi, Zeraati, Giannakakis, Schäfer, Martius and Levina,
"Emergent mechanisms for long timescales depend on training curriculum and affect
performance in memory tasks" (2023).
"""
