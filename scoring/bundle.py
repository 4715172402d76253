"""The model bundle: everything that scoring needs, as one artefact.

A bundle is JSON around LightGBM's text format: no pickle, and nothing of it is parsed before its SHA-256 was
compared with the one it was registered with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scoring.baseline import Baseline
from scoring.errors import ArtefactError, OutdatedArtefactError
from scoring.explanation.engine import Engine, engine
from scoring.preprocess import Preprocessing, explained_features

if TYPE_CHECKING:
    from scoring.policy import Policy

FORMAT = "creditlens-model"
FORMAT_VERSION = 4


@dataclass(frozen=True)
class ModelBundle:
    """Everything that scoring needs, and nothing that it must not depend on.

    Attributes
    ----------
    booster_text: LightGBM's text format.
    preprocessing: what was learned from the former customers.
    base_value: expected log-odds of default.
    parameters, metrics: how it was trained and how good it is (out of fold).
    reference_log_odds: ascending out-of-fold log-odds of the former customers, as 1,001 quantiles.
    baseline: how the former customers spread over the bins that later nights are compared in.
    policy: what it was held to: `sha256` of the policy, the features `barred`, and `directions` by feature.
    fold_boosters: LightGBM's text of the models of the folds, by which people are compared; none in a bundle of
        before they were kept.
    """

    booster_text: str
    preprocessing: Preprocessing
    base_value: float
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    reference_log_odds: tuple[float, ...]
    baseline: Baseline
    policy: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    fold_boosters: tuple[str, ...] = ()

    @cached_property
    def engine(self) -> Engine:
        """The engine that scores and explains, its model-only work done once a process.

        What that work gives is not written down. It takes 17 ms for a model of the default size and 0.27 s for
        1,000 trees of 31 leaves; to read it from a file of 0.1 to 3 MB and compare a digest would take 1 to 3 ms.
        For that, each model would need a second artefact, made anew with every change of the engine, and compiled
        code would have to take on trust what now comes from checked text.
        """
        return engine(self.booster_text, self.preprocessing.groups, len(explained_features()))

    @cached_property
    def reference_engine(self) -> Engine:
        """LightGBM's own, slow way to the same numbers."""
        # Imported here because it brings LightGBM, pandas and scikit-learn, which a night needs only to audit.
        from scoring.explanation.reference import lightgbm_engine

        return lightgbm_engine(self.booster_text, self.preprocessing.groups, len(explained_features()))

    @cached_property
    def feature_set(self) -> list[dict[str, str]]:
        """The matrix's columns and the feature that each belongs to."""
        return [{"column": column.name, "feature": column.feature} for column in self.preprocessing.columns]

    def bars(self, policy: Policy) -> tuple[str, ...]:
        """The features that `policy` bars and this model may use; none if it keeps that policy's exclusions."""
        return tuple(name for name in policy.barred if name not in self.policy["barred"])

    def to_bytes(self) -> bytes:
        """The bundle as canonical JSON: the same bundle gives the same bytes."""
        content = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "features": [feature.name for feature in explained_features()],
            "columns": [column.name for column in self.preprocessing.columns],
            "preprocessing": self.preprocessing.to_json(),
            "base_value": self.base_value,
            "parameters": self.parameters,
            "metrics": self.metrics,
            "reference_log_odds": list(self.reference_log_odds),
            "baseline": self.baseline.to_json(),
            "policy": self.policy,
            "training": self.training,
            "booster": self.booster_text,
        }
        if self.fold_boosters:
            content["fold_boosters"] = list(self.fold_boosters)
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @staticmethod
    def from_bytes(artefact: bytes, sha256: str) -> ModelBundle:
        """The bundle in `artefact`, if it is byte for byte what was registered under `sha256`.

        Raises ArtefactError for changed bytes, another format (a pickle, say) or another feature list, before
        LightGBM sees any of it.
        """
        found = digest(artefact)
        if found != sha256:
            raise ArtefactError(
                f"The model artefact has SHA-256 {found[:12]}…, registered is {sha256[:12]}…: it was changed;"
                " train again or restore it."
            )
        try:
            content = json.loads(artefact)
        except (UnicodeDecodeError, json.JSONDecodeError):
            raise ArtefactError(
                "The model artefact is not JSON; only bundles made by creditlens are read."
            ) from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ArtefactError("The model artefact is no creditlens model.")
        if content.get("version") != FORMAT_VERSION:
            raise OutdatedArtefactError(
                f"The model artefact has version {content.get('version')}, this program reads {FORMAT_VERSION};"
                " train again."
            )
        bundle = ModelBundle(
            booster_text=content["booster"],
            preprocessing=Preprocessing.from_json(content["preprocessing"]),
            base_value=content["base_value"],
            parameters=content["parameters"],
            metrics=content["metrics"],
            reference_log_odds=tuple(content["reference_log_odds"]),
            baseline=Baseline.from_json(content["baseline"]),
            policy=content["policy"],
            training=content["training"],
            fold_boosters=tuple(content.get("fold_boosters", ())),
        )
        features = [feature.name for feature in explained_features()]
        columns = [column.name for column in bundle.preprocessing.columns]
        if content["features"] != features or content["columns"] != columns:
            raise ArtefactError("The model was trained on another feature list than this program's; train again.")
        return bundle


def digest(artefact: bytes) -> str:
    """SHA-256 as hexadecimal text."""
    return hashlib.sha256(artefact).hexdigest()
