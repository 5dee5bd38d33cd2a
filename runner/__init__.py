"""The headless runner: Imageine's workflows over ComfyUI's API."""
