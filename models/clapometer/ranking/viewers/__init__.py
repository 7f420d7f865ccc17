"""Who saw what: versions compared within viewers, and whether viewers were offered the same."""

from clapometer.ranking.viewers.candidates import Leaning, leaning
from clapometer.ranking.viewers.within_viewers import Views, WithinViewers, of_time, within_viewers

__all__ = ["Leaning", "Views", "WithinViewers", "leaning", "of_time", "within_viewers"]
