"""How the demo's weights are made and measured; see README.md. Not part of the installed package."""
