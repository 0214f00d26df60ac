"""How cost refuses."""

from kernel.errors import Conflict, NotFound


class BudgetExhausted(Conflict):
    """A hard budget has no room for the worst case of a model call.

    `data`: budget_id (None: budgets changed just now), scope, needed_usd, left_usd (texts),
    resets_at (ISO 8601, or None), is_fleeting (only other calls under way are in the way).
    """

    code = "budget.exhausted"
    message = "The budget is used up. Raise it, or wait until it begins anew."


class CallUnpriced(BudgetExhausted):
    """Nobody knows what the model costs, so no hard budget can let it be called.

    `data` as of BudgetExhausted; needed_usd is None.
    """

    code = "cost.unpriced"
    message = "Nobody knows the price of this model. Set one with POST /api/v1/prices."


class BudgetNotFound(NotFound):
    """No such budget in the organization."""

    code = "budget.not_found"
    message = "No such budget. GET /api/v1/budgets lists them."


class BudgetExists(Conflict):
    """An active budget has the same scope, subject and period."""

    code = "budget.exists"
    message = "There is a budget for the same scope, subject and period. Change that one."


class BudgetOfVersion(Conflict):
    """The budget is the daily limit of an agent's version, which only a new version changes."""

    code = "budget.of_version"
    message = "This is an agent's daily limit. PATCH the agent with another daily_budget_usd."


class PriceNotFound(NotFound):
    """No such price in the organization."""

    code = "price.not_found"
    message = "No such price. GET /api/v1/prices lists them."


class PriceExists(Conflict):
    """The organization has a price for the same provider and model."""

    code = "price.exists"
    message = "There is a price for this provider and model. Change that one."
