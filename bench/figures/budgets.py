"""Model calls reserved and settled under one hard budget, beside the bare SQL of the same."""

from bench.stage import Stage
from bench.table import Figure


def measure(stage: Stage) -> list[Figure]:
    """One round."""
    rates = stage.run_hub("-m", "bench.reserving", DJANGO_SETTINGS_MODULE="hub.settings")
    return [
        Figure(
            name="Calls reserved and settled, 8 threads, one hard budget for all",
            unit="calls/s",
            hub=rates["counted"],
            bound="at least",
            target=0.3,
            beside=rates["bare"],
            peer="bare SQL, two statements",
        ),
        Figure(
            name="The same without a budget: one look and the ledger's row",
            unit="calls/s",
            hub=rates["free"],
            bound="at least",
            target=300,
        ),
    ]
