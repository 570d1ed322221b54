"""The estimator: a state-switching GLM with a learnable prior over couplings."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.attributes import keep_learned, keep_moments
from onehotglm.estimator.exogenous import COVARIATES, TRANSITION_INPUTS
from onehotglm.estimator.fit_warnings import warn_of_fit
from onehotglm.estimator.keeper import run_em
from onehotglm.estimator.monitor import Monitor
from onehotglm.estimator.packing import Packed
from onehotglm.estimator.presentation import PresentableModel
from onehotglm.estimator.problem import make_problem, make_starts
from onehotglm.estimator.settings import check_settings, known_signs
from onehotglm.estimator.validate import as_spikes
from onehotglm.inference.complexity import effective_parameters
from onehotglm.inference.learning import Problem
from onehotglm.kernels.history import make_basis
from onehotglm.kernels.observations import OBSERVATIONS
from onehotglm.model.params import Params
from onehotglm.random_state import RandomState


class OneHotHMMGLM(PresentableModel):
    r"""Hidden brain states and the couplings between neurons in each of them.

    Spike counts x of session r, bin t and neuron n follow

    .. math:: x_{rtn} \sim \mathrm{Poisson}\Big(g\Big(b_{sn} + \sum_{m,k} W_{snmk}
        \sum_{l=1}^{L} \phi_{kl} x_{r,t-l,m} + \sum_c B_{snc} (u_{rtc} - \bar u_c)\Big)\Big),
        \qquad s = z_{rt},

    or another distribution with that mean (`observation`), where the state z is a Markov
    chain that restarts at every session, and u are covariates, if there are any.  The couplings
    W of the states share a prior that is learned with them [1]_.

    Parameters
    ----------
    n_states : int
        Number of hidden states S.
    prior : {"one-hot", "gaussian", "none"}
        ``"one-hot"``: every connection is inhibitory, absent or excitatory in a state,
        with type probabilities that the states share and a strength per state.
        ``"gaussian"``: couplings scatter around a mean that the states share.
        ``"none"``: a fixed ridge.
    link : {"softplus", "exp", "sigmoid", "log1p_softplus", "sqrt_softplus", "identity"}
        g, from the linear predictor to counts per bin; "identity" for signals only.
    observation : {"poisson", "bernoulli", "negative_binomial", "gaussian"}
        Distribution of the data given their mean.  ``"bernoulli"``: counts of 0 and 1, with
        ``link="sigmoid"``.  ``"negative_binomial"``: counts of variance ``f + a f^2``, the
        dispersion a of each neuron learned.  ``"gaussian"``: signals of any value (calcium
        traces, LFP power), a variance per neuron learned.
    basis : {"exponential", "raised_cosine", "lags"}
        Functions of the lag that couplings are made of, see
        `onehotglm.kernels.history.make_basis`.
    n_lags : int
        Past bins L that a coupling sees.
    n_basis : int, optional
        Number of raised cosines.
    kernel : {"per_state", "shared"}
        With a basis of several functions: whether a coupling has free weights per function in
        every state, or one kernel for all states and a strength per state,
        ``weights[s, n, m, k] = strength[s, n, m] * kernel[n, m, k]``.  Priors are then about
        strengths; kernels fall off by a factor e per bin where data say nothing of them.
        See :doc:`/model`.
    smoothness : float
        Precision of a prior on the second differences over lags (Eilers & Marx 1996), at least
        3 lags: of shared kernels, or of every state's couplings.  0: none.
    method : {"em", "vi"}
        ``"em"``: expectation-maximisation of the penalised likelihood.  ``"vi"``: variational
        inference of the posterior, started from a short EM; gives uncertainties
        (`posterior`, `to_datatree`).
    guide : {"structured", "low_rank", "mean_field"}
        Family of posteriors with ``method="vi"``, see `onehotglm.inference.guides`: with the
        correlations within each neuron's regression (under the Gaussian prior also between the
        states), with a few common factors, or without correlations.
    batch_size : int, optional
        Sessions per step of ``method="vi"``.  Default: about 20,000 bins.
    bias : {"per_state", "shared"}
        Whether a neuron's bias depends on the state.
    self_history : {"coupling", "per_state", "shared", "none"}
        What a neuron's own past is. ``"coupling"``: a connection like any other, under the
        same prior.  ``"per_state"``, ``"shared"``: it stands outside the couplings' prior
        (refractoriness and bursting are no synapse), one per state or one for all states;
        ``weights_`` hold it on their diagonal, its connection type is 0.  ``"none"``: excluded.
    self_ridge : float, optional
        Precision of the prior of self-histories that stand apart. Default: `ridge`.
    dale : None, "infer" or array of int, shape (pre,)
        Dale's law: all couplings of a neuron onto others have one sign, in all states and for
        all basis functions.  Signs are -1 (inhibitory) or 1 (excitatory) as given, and
        inferred from all couplings of a neuron together where 0, or everywhere with
        ``"infer"``.  Self-histories are no synapses: the law does not hold for them.
    covariate_effect : {"per_state", "shared"}
        Whether the weights of covariates (`fit`'s `covariates`) depend on the state.
    covariate_ridge : float, optional
        Precision of the prior of covariates' weights around zero, for covariates in units of
        their standard deviation.  Default: `ridge`.
    ridge : float
        Precision of the weights' prior: all of it with ``prior="none"``, where learning
        starts with the other priors.
    transition_concentration : float
        Dirichlet parameter, at least 1, of transitions and initial states.
    stickiness : float
        Added to the Dirichlet parameter of staying in a state, in pseudo-transitions.
    transition_ridge : float
        Precision of the weights of inputs that drive transitions, per standard deviation of
        the input; without `transition_inputs` it has no effect.
    n_init : int
        Starts; the worse half is dropped early, the best is converged.
    max_iter : int
        Most EM steps of one run to convergence; with ``method="vi"`` most blocks of 25 steps.
    tol : float
        Relative change of the penalised objective at which EM has converged, and of the bound
        at which variational inference lowers its learning rate.
    dtype : {"float32", "float64"}
        Precision, for this model only.
    bin_size : float, optional
        Seconds, for input that does not know it (numpy, pandas) and for pynapple
        TsGroups.  Without it rates are in counts per bin.
    progress : bool
        Show a progress bar in fits longer than two seconds.
    checkpoint : path, optional
        File that is written after every EM step or block of variational steps, so that a fit
        survives whatever ends the process: at most one of them is lost.  When the fit has
        ended the file stays, marked so; delete it once the fit is saved.  A file belongs to
        one fit: objects that fit several models (`GridSearchCV`) need None.
    resume : bool
        Go on from `checkpoint`, if the file is there, to the very result of a fit that was
        never stopped.  Data and settings must be the same.
    random_state : int, numpy Generator or RandomState, or jax key
        Of the starts.  An int gives the same fit every time.

    Attributes
    ----------
    weights_ : ndarray, shape (state, post, pre, basis)
    strength_ : ndarray, shape (state, post, pre), or None
        With ``kernel="shared"``: positive where the kernel's sum over lags is the coupling's
        sign; equal to `connectivity_` for kernels of one sign.
    kernel_ : ndarray, shape (post, pre, basis), or None
        Weights per unit of strength: over lags their absolute values sum to 1 and their values
        to no less than 0.
    connectivity_ : ndarray, shape (state, post, pre)
        Couplings summed over lags: the change of the linear predictor, over all bins
        that it reaches, per spike.
    connection_type_ : ndarray, shape (state, post, pre), or None
        -1, 0 or 1 (one-hot prior).
    connection_type_proba_ : ndarray, shape (state, post, pre, type), or None
        Posterior of inhibitory, absent, excitatory.
    shared_type_proba_ : ndarray, shape (post, pre, type), or None
        The learned prior over types.
    shared_connectivity_ : ndarray, shape (post, pre), or None
        Coupling common to the states: the Gaussian prior's mean, or the one-hot prior's
        expectation.
    neuron_sign_ : ndarray of int, shape (pre,), or None
        -1 or 1 under Dale's law: given, or the more probable sign.
    neuron_sign_proba_ : ndarray, shape (pre,), or None
        Probability of being excitatory.  Connection types are given `neuron_sign_`.
    prior_mean_, prior_sd_ : ndarray, shape (post, pre, basis), or None
        Of the weights over states (Gaussian prior); `prior_mean_sd_` (basis,) is the spread
        of the former around zero.
    prior_slab_mean_, prior_slab_sd_ : ndarray, shape (sign, basis), or None
        Normal distributions, truncated to positive values, of the strengths of inhibitory and
        excitatory connections (one-hot prior).
    bias_ : ndarray, shape (state, neuron)
        At the means of the covariates, where there are any.
    covariate_weights_ : ndarray, shape (state, neuron, covariate), or None
        Change of the linear predictor per unit of the covariate, in the unit that was passed.
    covariate_names_, covariate_mean_, covariate_sd_ : ndarray, shape (covariate,), or None
        Mean and standard deviation over the training bins that hold counts.
    dispersion_ : ndarray, shape (neuron,), or None
        Dispersion a (negative binomial) or variance (Gaussian).
    transition_matrix_ : ndarray, shape (state, next_state)
        With `transition_inputs`: at their means.
    transition_weights_ : ndarray, shape (state, input), or None
        How much a unit of an input adds to the log-odds of going into a state; the sum over
        states is zero.
    transition_input_names_ : ndarray, shape (input,), or None
    transition_input_mean_, transition_input_sd_ : ndarray, shape (input,), or None
        Over the training bins.
    initial_proba_ : ndarray, shape (state,)
    basis_functions_ : ndarray, shape (basis, lag)
    occupancy_ : ndarray, shape (state,)
        Expected number of training bins in each state; states are sorted by it.
    log_likelihood_path_, objective_path_ : ndarray, shape (iteration,)
        Nats per bin after every accepted EM step since the best start was chosen.  While a
        prior is learned each step has its own objective, and the likelihood of the training
        data falls as the prior takes hold.
        With ``method="vi"`` one value per block of steps: the expected log-likelihood, and the
        bound (ELBO).
    guide_ : Dataset, or None
        The approximate posterior (``method="vi"``), see `onehotglm.estimator.posterior`.
    n_parameters_ : float
        Effective number of parameters under the prior, see
        `onehotglm.inference.complexity.effective_parameters`.
    n_iter_ : int
    converged_ : bool
    stop_reason_ : str
        "converged", "no further increase", "max_iter", "max_rounds" (the prior was still
        moving) or "interrupted".

    Notes
    -----
    With `transition_inputs` v (a stimulus, the animal's speed) transitions are multinomial
    regressions [2]_ [3]_ of the next state,

    .. math:: p(z_t = j \mid z_{t-1} = i, v_t) \propto
        A_{ij} \exp\big(B_j \cdot (v_t - \bar v)\big),

    with A the `transition_matrix_`, B the `transition_weights_` and the mean of the training
    data.  Every method then takes `transition_inputs` of the bins that it is given.

    References
    ----------
    .. [1] Li, C., Kim, S. J., Wu, A. (2024). One-hot generalized linear model for
       switching brain state discovery. ICLR. arXiv:2310.15263.
    .. [2] Bengio, Y., Frasconi, P. (1994). An input output HMM architecture. NeurIPS 7, 427-434.
    .. [3] Calhoun, A. J., Pillow, J. W., Murthy, M. (2019). Unsupervised identification of the
       internal states that shape natural behavior. Nat. Neurosci. 22, 2040-2049.

    Examples
    --------
    >>> import numpy as np
    >>> spikes = np.random.default_rng(0).poisson(0.3, size=(2, 300, 4))
    >>> model = OneHotHMMGLM(n_states=2, n_init=1, bin_size=0.02).fit(spikes)
    >>> model.predict_states(spikes).dims
    ('session', 'time')
    >>> model.connectivity_.shape
    (2, 4, 4)
    """

    def __init__(
        self,
        n_states: int = 3,
        prior: str = "one-hot",
        link: str = "softplus",
        observation: str = "poisson",
        basis: str = "exponential",
        n_lags: int = 5,
        n_basis: int | None = None,
        kernel: str = "per_state",
        smoothness: float = 0.0,
        method: str = "em",
        guide: str = "structured",
        batch_size: int | None = None,
        bias: str = "per_state",
        self_history: str = "coupling",
        self_ridge: float | None = None,
        dale: Any = None,
        covariate_effect: str = "per_state",
        covariate_ridge: float | None = None,
        ridge: float = 1.0,
        transition_concentration: float = 1.1,
        stickiness: float = 0.0,
        transition_ridge: float = 1.0,
        n_init: int = 3,
        max_iter: int = 200,
        tol: float = 1e-6,
        dtype: str = "float32",
        bin_size: float | None = None,
        progress: bool = True,
        checkpoint: str | os.PathLike | None = None,
        resume: bool = False,
        random_state: RandomState = 0,
    ):
        self.n_states = n_states
        self.prior = prior
        self.link = link
        self.observation = observation
        self.basis = basis
        self.n_lags = n_lags
        self.n_basis = n_basis
        self.kernel = kernel
        self.smoothness = smoothness
        self.method = method
        self.guide = guide
        self.batch_size = batch_size
        self.bias = bias
        self.self_history = self_history
        self.self_ridge = self_ridge
        self.dale = dale
        self.covariate_effect = covariate_effect
        self.covariate_ridge = covariate_ridge
        self.ridge = ridge
        self.transition_concentration = transition_concentration
        self.stickiness = stickiness
        self.transition_ridge = transition_ridge
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.dtype = dtype
        self.bin_size = bin_size
        self.progress = progress
        self.checkpoint = checkpoint
        self.resume = resume
        self.random_state = random_state

    # ------------------------------------------------------------------------- fitting

    def fit(
        self,
        X: Any,
        y: None = None,
        *,
        covariates: Any = None,
        transition_inputs: Any = None,
        starts: Sequence[Params] = (),
    ) -> "OneHotHMMGLM":
        """Fit to spike counts.

        Parameters
        ----------
        X : array, list of arrays, DataArray, DataFrame, TsdFrame or TsGroup
            Spike counts: numpy (time, neuron) or (session, time, neuron), a list of
            (time, neuron) with unequal lengths, a DataArray with the dims session, time,
            neuron, a pandas DataFrame (time x neuron), or a pynapple TsdFrame or TsGroup.
            NaN is a missing count; bins at negative times only serve as history.
        y : None
            Ignored.
        covariates : DataArray, Dataset, DataFrame, array, or list of these, optional
            What is known in every bin beside the spikes (stimulus, position, speed) and adds
            to the linear predictor: a DataArray (session, time, covariate), an array of that
            shape or (time, covariate) for one session, a DataFrame (time x covariate), a list
            of such with one per session, or a Dataset of series (session, time).  Bins without
            counts and lead-in bins may lack it.
        transition_inputs : DataArray, Dataset, DataFrame, array, or list of these, optional
            Inputs v that drive the transitions (section Notes), a value for every bin of the
            spikes: a DataArray (session, time, input), an array of that shape or (time, input)
            for one session, a pandas DataFrame (time x input), a list with one per session, or a
            Dataset of series (session, time).  The input of a bin acts on the step into it, so
            that of a session's first bin is not used.  May be NaN where no count is known; in
            gaps it then counts as its mean.
        starts : sequence of onehotglm.model.params.Params
            Starting points beside the `n_init` random ones, for example from a fit with a state
            less (`onehotglm.inference.init.split_state`).

        Returns
        -------
        OneHotHMMGLM

        Raises
        ------
        InvalidInputError
            If a parameter or the data make no sense.
        DataFileError
            If the checkpoint is of other data or settings or damaged, or would be overwritten
            though its fit has not ended.

        Warns
        -----
        ConvergenceWarning
            If EM stopped at `max_iter`, or a state is empty.
        """
        self._fit_neurons(X, slice(None), covariates, transition_inputs, starts)
        warn_of_fit(self)
        return self

    def _fit_neurons(
        self,
        X: Any,
        neurons: np.ndarray | slice,
        covariates: Any = None,
        transition_inputs: Any = None,
        starts: Sequence[Params] = (),
    ) -> None:
        """Fit to some neurons; the others only serve as history."""
        check_settings(self.get_params())
        if self.method == "vi" and not isinstance(neurons, slice):
            raise InvalidInputError(
                "method='vi' has one chain for all neurons; use method='em' for groups of them"
            )
        self._modelled = neurons
        values = OBSERVATIONS[self.observation].values
        spikes = as_spikes(X, self.bin_size, values=values)
        known_signs(self.dale, spikes.sizes["neuron"])
        n_bins = int((np.isfinite(spikes.values).any(-1) & (spikes["time"].values >= 0)).sum())
        if self.n_states > n_bins:
            raise InvalidInputError(
                f"n_states={self.n_states} for {n_bins} time bins; expected fewer states than bins"
            )
        COVARIATES.keep(self, covariates, spikes)
        TRANSITION_INPUTS.keep(self, transition_inputs, spikes)
        with self._precision():
            self._keep_recording(spikes)
            self._fit(self._pack(spikes, covariates, transition_inputs), starts)

    def _keep_recording(self, spikes: xr.DataArray) -> None:
        """Set what later recordings are read by."""
        self.basis_functions_ = make_basis(self.basis, self.n_lags, self.n_basis)
        self.bin_size_ = float(spikes.attrs["bin_size"])
        keep_moments(self, spikes)
        self.neuron_ids_ = spikes["neuron"].values
        self.n_features_in_ = spikes.sizes["neuron"]

    def _fit(self, packed: Packed, starts: Sequence[Params]) -> None:
        n_time_bins = len(packed.position)
        base = OBSERVATIONS[self.observation].log_base(packed.counts.astype(float))
        constant = float(np.nansum(base))
        with Monitor(constant, n_time_bins, self.progress) as monitor:
            problem = make_problem(self, packed, monitor)
            starting = make_starts(self, problem, starts)
            reason = (self._by_em if self.method == "em" else self._by_vi)(
                problem, starting, monitor
            )
        self.log_likelihood_path_, self.objective_path_ = monitor.paths
        self.n_iter_ = len(self.log_likelihood_path_)
        self.stop_reason_ = "interrupted" if monitor.interrupted else reason
        self.converged_ = self.stop_reason_ in ("converged", "no further increase")

    def _by_em(self, problem: Problem, starts: list[Params], monitor: Monitor) -> str:
        learned = run_em(self.get_params(), problem, starts, monitor)
        self.n_parameters_ = effective_parameters(problem, learned)
        keep_learned(self, learned)
        return learned.reason

    def _by_vi(self, problem: Problem, starts: list[Params], monitor: Monitor) -> str:
        # numpyro is heavy: only those who use it wait for it.
        from onehotglm.estimator import variational

        return variational.fit(self, problem, starts, monitor)
