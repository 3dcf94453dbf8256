"""Families of networks. A new family is one file here and one line in `FAMILIES`."""

from netwright.base.registry import Registry

FAMILIES = Registry(
    "network",
    {
        "feedforward": "netwright.networks.feedforward:Feedforward",
        "convolutional": "netwright.networks.convolutional:Convolutional",
        "recurrent": "netwright.networks.recurrent:Recurrent",
        "transformer": "netwright.networks.transformer:Transformer",
    },
)
