"""docs/parity.md has a figure for every case that is compared, and none that a test would refuse."""

from support import parity_table, sampling_cases, unet_cases


def test_every_case_is_on_the_page():
    listed = {cells[:2] for cells in parity_table.listed()}
    wanted = {tuple(name.split(": ")) for name in sampling_cases.CASES}
    for base in unet_cases.UNETS:
        names = ["plain", *(f"IP-Adapter {name}" for name in unet_cases.CASES)]
        wanted |= {(f"{base} UNet at full depth, one forward", name) for name in names}
    assert wanted - listed == set(), "run: IMAGEINE_UPDATE=1 pytest tests/parity"
    # No row is left of a case that was renamed or removed.
    kinds = {what for what, _ in wanted}
    assert {row for row in listed if row[0] in kinds} - wanted == set()


def test_every_figure_is_within_the_bound():
    latents = {name.partition(": ")[0] for name in sampling_cases.CASES}
    figures = [float(cells[2]) for cells in parity_table.listed() if cells[0] in latents]
    assert figures and max(figures) < 1e-3
