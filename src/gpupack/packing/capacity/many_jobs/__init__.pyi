from .minimum_slack import (
    SlackPlan,
    SlackSearch,
)
from .room_prices import (
    OptionArrays,
    RoomPricing,
)

__all__ = [
    "OptionArrays",
    "RoomPricing",
    "SlackPlan",
    "SlackSearch",
]
