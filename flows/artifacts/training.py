"""The page and the table of its search that a training leaves in Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.registry import ModelRecord
from flows.alerts.last_night import outcome_of
from flows.artifacts.server import of_this_run
from flows.artifacts.words import Language, number, plain, table, words
from flows.installation import identity
from flows.settings import Settings
from scoring.features import by_name


class ShownTraining:
    """The model that a training has made, once there is one."""

    def __init__(self) -> None:
        self.record: ModelRecord | None = None

    def leave(self, settings: Settings, error: BaseException | None) -> None:
        """Put page and search into Prefect, if there is a flow run and its server answers."""
        server = of_this_run(error)
        if server is None:
            return
        language, name = settings.superset_locale, identity.of(settings.state).name
        say = words(language)
        why = None if error is None else outcome_of(error)[1]
        server.create("markdown", f"training-{name}", page(self.record, why, language), say["training_about"])
        if self.record is not None:
            rows = search_rows(self.record.metrics["search"], language)
            server.create("table", f"training-search-{name}", rows, say["search_about"])


def page(record: ModelRecord | None, why: str | None, language: Language) -> str:
    """The training as Markdown; `record` is None where it came to no model, and `why` says the reason."""
    say = words(language)
    title = say["training"].format(model=record.model_id) if record else say["training_without_model"]
    parts = [f"# {title}", f"**{say['outcome']}**: {say['trained' if record else 'not_trained']}."]
    if why:
        parts.append(f"**{say['why']}**: {plain(why)}")
    if record is not None:
        parts += [_quality(record, language), *_costs(record.metrics["policy"], language)]
    return "\n\n".join(parts) + "\n"


def _quality(record: ModelRecord, language: Language) -> str:
    say, found = words(language), record.metrics["recalibration"]
    slope, low, high = (number(found[name], 3, language=language) for name in ("slope", "slope_low", "slope_high"))
    facts = [
        ("training_rows", number(record.training_rows, language=language)),
        ("policy", str(record.policy_id)),
        *((name, number(record.metrics[name], 4, language=language)) for name in ("auc", "gini", "ks", "brier")),
        ("slope", f"{slope} ({low} – {high})"),
        ("ece", number(found["ece"], 4, language=language)),
        ("recalibrated", say["yes" if found["recalibrated"] else "no"]),
    ]
    return table((say["quality"], ""), [(say[key], value) for key, value in facts])


def _costs(policy: Mapping[str, Any], language: Language) -> list[str]:
    say = words(language)
    costs = [
        (by_name()[one["feature"]].label_fr if language == "fr" else by_name()[one["feature"]].label_en, one)
        for one in policy["exclusions"]
    ]
    if len(costs) > 1:
        costs.append((say["all_left_out"], policy["all_exclusions"]))
    costs.append((say["directions"], policy["directions"]))
    rows = [
        (
            plain(label),
            number(one["auc_cost"], 4, language=language),
            number(one["auc_cost_se"], 4, language=language),
        )
        for label, one in costs
    ]
    return [f"## {say['costs']}", table((say["left_out"], say["auc_cost"], say["standard_error"]), rows)]


def search_rows(search: list[Mapping[str, Any]], language: Language) -> list[dict[str, str]]:
    """What the search tried, as Prefect shows a table; what was taken first, then by AUC."""
    say = words(language)
    rows = []
    for trial in sorted(search, key=lambda one: (not one["chosen"], -one["auc"])):
        parameters = trial["parameters"]
        rows.append(
            {
                say["chosen"]: say["yes" if trial["chosen"] else "no"],
                say["auc"]: number(trial["auc"], 4, language=language),
                say["depth"]: str(parameters["max_depth"]) if parameters["max_depth"] > 0 else say["any_depth"],
                say["leaves"]: str(parameters["num_leaves"]),
                say["trees"]: str(parameters["trees"]),
                say["cost"]: number(trial["explanation_cost"], language=language),
            }
        )
    return rows
