from .minimum_slack import SlackSearch
from .room_prices import (
    OptionArrays,
    RoomPricing,
)
from .slack_plan import SlackPlan

__all__ = [
    "OptionArrays",
    "RoomPricing",
    "SlackPlan",
    "SlackSearch",
]
