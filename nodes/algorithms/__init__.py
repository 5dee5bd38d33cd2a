"""What the nodes do, tensor in, tensor out: torch, numpy, PIL and transformers, never ComfyUI."""
