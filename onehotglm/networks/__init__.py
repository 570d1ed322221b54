"""Other networks that play the brain: they generate spikes, and are fitted to spikes."""
