"""Recommendations: a weighted sum of the modules. Which weights a visitor gets is a flag's affair."""

import logging

from modules import MODULES
from shop import logs
from shop.errors import Unavailable

WEIGHTS = {
    "classic": {"together": 0.55, "category": 0.20, "popular": 0.20, "fresh": 0.05},
    "fresh": {"together": 0.35, "category": 0.10, "popular": 0.15, "fresh": 0.40},
}
DEFAULT = "classic"

REASONS = {
    "together": "Often bought together",
    "category": "More like this",
    "popular": "Popular right now",
    "fresh": "Just arrived",
}


def scores(moment, modules=MODULES):
    """Each module's scores. One that cannot answer now has no say; the others carry on."""
    found = {}
    for name, module in modules.items():
        try:
            found[name] = module(moment)
        except Unavailable as error:
            logs.say(f"without {name}", logging.WARNING, cause=str(error))
            found[name] = {}
    return found


def recommend(moment, variant, count, modules=MODULES):
    """The best products that are not looked at already, each with what it owes to each module."""
    weights = WEIGHTS.get(variant, WEIGHTS[DEFAULT])
    by_module = scores(moment, modules)
    ranked = []
    for slug, product in moment.products.items():
        if slug in moment.focus:
            continue
        parts = {name: round(weights[name] * by_module[name].get(slug, 0.0), 4) for name in weights}
        total = sum(parts.values())
        if total > 0:
            strongest = max(parts, key=parts.get)
            ranked.append({"product": product, "score": round(total, 4), "reason": REASONS[strongest], "parts": parts})
    ranked.sort(key=lambda entry: (-entry["score"], entry["product"]["slug"]))
    return ranked[:count]
