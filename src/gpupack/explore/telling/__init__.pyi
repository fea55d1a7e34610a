from .answer import AnswerView, answer_view
from .clash import Place, as_asked, places_of
from .command_line import Command, command_of, request_fields
from .comparison import ComparisonView, comparison_view
from .source import SourceView, source_view

__all__ = [
    "AnswerView",
    "Command",
    "ComparisonView",
    "Place",
    "SourceView",
    "answer_view",
    "as_asked",
    "command_of",
    "comparison_view",
    "places_of",
    "request_fields",
    "source_view",
]
