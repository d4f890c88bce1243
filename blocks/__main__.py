"""``python -m blocks``: saves every document of the project."""

from __future__ import annotations

from blocks.drift import drift_policy
from blocks.policies import policies
from blocks.registry import registry
from blocks.serving import serving_target
from brixa_flows.blocks import save_documents


def main() -> None:
    """Save them, replacing earlier ones of the same name."""
    documents = [*registry(), *policies(), drift_policy(), serving_target()]
    for saved in save_documents(documents):
        print(f"saved {saved}")


if __name__ == "__main__":
    main()
