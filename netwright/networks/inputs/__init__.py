"""How a field enters a network, keyed by its layout, never by its kind."""

from __future__ import annotations

from netwright.base.registry import Registry

LAYOUTS = Registry(
    "layout",
    {
        "numbers": "netwright.networks.inputs.numbers:Numbers",
        "codes": "netwright.networks.inputs.codes:Codes",
        "image": "netwright.networks.inputs.image:Image",
    },
)
