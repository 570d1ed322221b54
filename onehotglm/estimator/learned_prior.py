"""The learned prior among the fitted attributes: kept, saved, and put together again."""

from typing import TYPE_CHECKING

from onehotglm.model.priors import GaussianPrior, OneHotPrior

if TYPE_CHECKING:
    from onehotglm.estimator.fitted import FittedModel

# fitted attribute without "_" -> dims; "sign" is inhibitory, excitatory
PRIOR_VARIABLES: dict[str, tuple[str, ...]] = {
    "prior_mean": ("post", "pre", "basis"),
    "prior_sd": ("post", "pre", "basis"),
    "prior_mean_sd": ("basis",),
    "prior_slab_mean": ("sign", "basis"),
    "prior_slab_sd": ("sign", "basis"),
}


def keep_prior(model: "FittedModel", prior: GaussianPrior | OneHotPrior | None) -> None:
    """Set the attributes of `PRIOR_VARIABLES`; None where the prior has none."""
    fields = {} if prior is None else prior._asdict()
    for name in PRIOR_VARIABLES:
        setattr(model, f"{name}_", fields.get(name.removeprefix("prior_")))


def prior_of(model: "FittedModel") -> GaussianPrior | OneHotPrior | None:
    """Put the learned prior together from the fitted attributes."""
    if model.prior_mean_ is not None:
        return GaussianPrior(model.prior_mean_, model.prior_sd_, model.prior_mean_sd_)
    if model.prior_slab_mean_ is not None:
        return OneHotPrior(model.shared_type_proba_, model.prior_slab_mean_, model.prior_slab_sd_)
    return None
