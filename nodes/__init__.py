"""ComfyUI nodes, one module per task. Importable inside ComfyUI only, but for ``algorithms``."""
