"""What hostile nodes send and say, one idea a file; strengths are parameters.

`coefficients`, `claims`, `free_riding`, `poisoning` and `timing` make information updates, `scores` makes
score vectors, `information` has the two attackers of the demonstration.
"""

from ledgerfed.evaluation.attacks.information import FreeRider, SignFlip

__all__ = ["FreeRider", "SignFlip"]
