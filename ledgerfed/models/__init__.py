"""Families of local models, one a file, behind one small protocol; none imports statsmodels until it fits."""

from ledgerfed.models.family import Family, Fitted, Iterated, family_names, load_family

__all__ = ["Family", "Fitted", "Iterated", "family_names", "load_family"]
