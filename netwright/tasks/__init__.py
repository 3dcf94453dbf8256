"""What is asked of the data: each task owns its head, loss, metrics and answers in the user's own words."""

from netwright.base.registry import Registry

TASKS = Registry(
    "task",
    {
        "classify": "netwright.tasks.classify:Classify",
        "regress": "netwright.tasks.regress:Regress",
        "tag": "netwright.tasks.tag:Tag",
        "forecast": "netwright.tasks.forecast:Forecast",
        "generate": "netwright.tasks.generate:Generate",
        "recommend": "netwright.tasks.recommend:Recommend",
        "transcribe": "netwright.tasks.transcribe:Transcribe",
        "translate": "netwright.tasks.translate:Translate",
    },
)
COMING: tuple[str, ...] = ()
"""Tasks that are known by name and arrive in a later version."""
