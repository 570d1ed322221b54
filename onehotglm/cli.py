"""The command line: ``onehotglm demo | fit | compare | simulate | info``.

Commands only speak with the user; `onehotglm.workflow` does the work.
"""

from pathlib import Path
from typing import Any

import click

from onehotglm import __version__
from onehotglm.cli_parts import Group, debug_option, numbers, options as group_of

_PRIORS = ("none", "gaussian", "one-hot")
_MODEL_PARAMETERS = ("n_states", "link", "n_lags", "basis", "n_basis", "n_init", "random_state")
_LINKS = ("softplus", "exp", "sigmoid", "log1p_softplus", "sqrt_softplus")
# True past of each block that all decoders of a comparison may read.
_HISTORY_OF_DECODERS = 10
_FAMILIES = ("random", "distance", "small_world", "modular", "scale_free", "published")

_random_state_option = click.option(
    "--random-state",
    type=int,
    default=0,
    help="Number that fixes everything random; the same number gives the same result.",
)
_model_options = group_of(
    click.option(
        "--prior",
        type=click.Choice([*_PRIORS, "all"]),
        default="all",
        help="Prior over the couplings; 'all' fits the three and compares what they predict.",
    ),
    click.option("--n-states", type=click.IntRange(min=1), default=3, help="Hidden states."),
    click.option(
        "--max-states",
        type=click.IntRange(min=2),
        help="Choose the number of states by cross-validation of the training sessions, from 1 to "
        "this many, in place of --n-states; adds n_states.csv and n_states.png.",
    ),
    click.option(
        "--link",
        type=click.Choice(_LINKS),
        default="softplus",
        help="From the linear predictor to the rate per bin.",
    ),
    click.option(
        "--n-lags", type=click.IntRange(min=1), default=5, help="Past bins that a coupling sees."
    ),
    click.option(
        "--basis",
        type=click.Choice(["exponential", "raised_cosine", "lags"]),
        default="exponential",
        help="Functions of the lag that couplings are made of.",
    ),
    click.option(
        "--n-basis",
        type=click.IntRange(min=1),
        help="Number of raised cosines.  [default: 3, at most --n-lags]",
        show_default=False,
    ),
    click.option(
        "--n-init",
        type=click.IntRange(min=1),
        default=3,
        help="Starts of the fit; the best is kept.",
    ),
)


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__, prog_name="onehotglm")
@debug_option
def main() -> None:
    """Hidden brain states, and what couples to what in each, from spike trains.

    \b
    onehotglm demo                     see it work on a recording that it generates
    onehotglm info session.nwb         what a recording holds
    onehotglm fit session.nwb --epochs run --n-states 5 --out results/session
    onehotglm compare session.nwb --epochs run --n-states 5
    """  # noqa: D301


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@debug_option
def info(file: Path) -> None:
    """Say what an NWB FILE holds, before it is fitted.

    Lists the units with their rates, the epochs and tables of trials by the names that
    `onehotglm fit --epochs` and `--trials` take, and the other series, all with their times
    on the recording's clock.
    """
    from onehotglm.io import describe_nwb

    click.echo(str(describe_nwb(file)))


_out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Result folder.  [default: results/ and the name of FILE]",
    show_default=False,
)
_recording_options = group_of(
    click.option("--bin-size", type=float, default=0.02, help="Width of a bin in seconds."),
    click.option(
        "--epochs",
        multiple=True,
        help="Tag of the epochs to read, or the name of a table of intervals; may be repeated. "
        "`onehotglm info FILE` lists them.  [default: the whole recording]",
        show_default=False,
    ),
    click.option(
        "--trials",
        help="Read the trials in this table of intervals instead, each as a session.",
    ),
    click.option(
        "--align-to", default="start_time", help="Column with the time that trials are aligned to."
    ),
    click.option(
        "--window",
        type=float,
        nargs=2,
        help="Seconds before (negative) and after that time where a trial starts and stops.",
    ),
    click.option(
        "--session-length",
        type=float,
        default=20.0,
        help="Cut epochs into sessions of this many seconds, so that whole ones can be held out; "
        "0 leaves them whole. Trials are never cut.",
    ),
    click.option(
        "--holdout",
        type=click.IntRange(min=0),
        default=5,
        help="Hold out every so-many-th session for the scores; 0 fits all.",
    ),
    click.option(
        "--units",
        callback=numbers,
        help="Ids of the units to read, with commas between.  [default: all]",
        show_default=False,
    ),
    click.option("--quality", help="Read units whose column `quality` has this value."),
    click.option(
        "--min-rate", type=float, default=0.05, help="Leave out units that fire less than this, Hz."
    ),
)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@_out_option
@_recording_options
@_model_options
@click.option(
    "--checkpoint",
    "--resume",
    "resume",
    is_flag=True,
    help="Keep where the fits stand while they run, and go on from there if an earlier run of the "
    "same command ended early.",
)
@_random_state_option
@debug_option
def fit(file: Path, out: Path | None, **options: Any) -> None:
    """Fit an NWB FILE: states, couplings, held-out scores, figures and a report.

    The result folder holds report.html (open it first), fit.nc (for OneHotHMMGLM.load or
    xarray), states.csv (a row per bin) and the figures as PNG. With several priors fit.nc and
    the report describe the one-hot fit, and fit_PRIOR.nc holds the others.
    """
    from onehotglm import workflow
    from onehotglm.evaluation import hold_out
    from onehotglm.io import ensure_writable_folder

    folder = ensure_writable_folder(out or Path("results") / file.stem)
    spikes, facts = _load(file, options, n_history_bins=options["n_lags"])
    click.echo(", ".join(f"{name}: {text}" for name, text in facts.items()))
    train, test = hold_out(spikes, options["holdout"])
    if options["max_states"] is not None:
        selection = workflow.choose_n_states(
            folder, train, options["prior"], _parameters(options), options["max_states"]
        )
        click.echo(f"\nNumbers of states, {selection.best_n_states} chosen\n{selection}")
        options["n_states"] = selection.best_n_states
    fits = _fit_with_progress(train, test, options, folder if options["resume"] else None)
    content = workflow.write_results(folder, file.stem, fits, spikes, test, facts=facts)
    workflow.forget_checkpoints(folder)
    _say_results(content, folder)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@_out_option
@_recording_options
@click.option(
    "--decoders",
    default="homogeneous,glm,hmm-glm,rnn,gru",
    help="What to compare, with commas between: homogeneous (constant rates), glm (no states), "
    "hmm-glm, rnn, gru, lstm, astrosnn, bdh.",
)
@click.option("--n-states", type=click.IntRange(min=1), default=3, help="States of hmm-glm.")
@_random_state_option
@debug_option
def compare(file: Path, out: Path | None, **options: Any) -> None:
    """Compare decoders on an NWB FILE: held-out scores, times, connectivities.

    All decoders are fitted to the same blocks and score the same held-out ones; whole blocks
    only. The result folder holds report.html (open it first), table.csv, comparison.nc with the
    connectivities, and the figures as PNG. Files are written after every decoder; Ctrl-C gives
    up the one that is being fitted. If FILE was simulated here, its true wiring joins in.
    """
    from onehotglm import comparison
    from onehotglm.io import ensure_writable_folder

    folder = ensure_writable_folder(out or Path("results") / f"{file.stem}_comparison")
    choices = {name: options[name] for name in ("n_states", "random_state")}
    decoders = comparison.make_decoders(options["decoders"].split(","), **choices)
    spikes, facts = _load(file, options, n_history_bins=_HISTORY_OF_DECODERS)
    click.echo(", ".join(f"{name}: {text}" for name, text in facts.items()))
    found = comparison.compare(
        spikes,
        decoders,
        block_length=None if options["trials"] else options["session_length"] or None,
        holdout=options["holdout"],
        truth=_truth(file, spikes),
        on_result=lambda so_far: so_far.save(folder),
    )
    for name, reason in found.failures.items():
        click.echo(f"warning: {name} is missing: {reason}", err=True)
    comparison.write_comparison(folder, file.stem, found, spikes=spikes, facts=facts)
    click.echo("\nPrediction of held-out blocks (95 % intervals over blocks)")
    click.echo(comparison.readable_table(found).round(3).to_string(index=False, na_rep="-"))
    wiring = comparison.readable_wiring(found)
    if wiring is not None:
        click.echo("\nAgainst the true wiring")
        click.echo(wiring.round(3).to_string(index=False, na_rep="-"))
    click.echo(f"\nopen {folder / 'report.html'}")


_population_options = group_of(
    click.option(
        "--wiring",
        type=click.Choice(_FAMILIES),
        default="distance",
        help="Family that the connectome is drawn from.",
    ),
    click.option("--n-neurons", type=click.IntRange(min=2), default=20, help="Neurons."),
    click.option("--n-states", type=click.IntRange(min=1), default=3, help="Hidden states."),
    click.option("--n-sessions", type=click.IntRange(min=1), default=30, help="Sessions."),
    click.option("--session-length", type=float, default=30.0, help="Seconds of a session."),
    click.option("--bin-size", type=float, default=0.02, help="Width of a bin in seconds."),
    click.option("--mean-rate", type=float, default=8.0, help="Mean rate of the neurons, Hz."),
    click.option("--dwell-time", type=float, default=2.0, help="Mean time in a state, in seconds."),
)


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("recording.nwb"), help="NWB file."
)
@_population_options
@_random_state_option
@debug_option
def simulate(out: Path, **options: Any) -> None:
    """Simulate a recording on a synthetic connectome and write it as NWB.

    The couplings change with a hidden state. The file holds the spikes, the states as a table
    of intervals, and the true wiring, so that a fit can be compared with it.
    """
    from onehotglm.io import ensure_writable_folder, save_nwb

    ensure_writable_folder(out.parent)
    simulation = _simulate(options)
    save_nwb(out, simulation)
    spikes = simulation["spikes"]
    rate = float(spikes.mean()) / spikes.attrs["bin_size"]
    click.echo(
        f"{out}: {spikes.sizes['neuron']} neurons at {rate:.1f} Hz, "
        f"{spikes.sizes['session']} sessions of {options['session_length']:g} s, "
        f"{simulation.sizes['state']} states"
    )


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("results/demo"), help="Result folder."
)
@_population_options
@click.option("--n-init", type=click.IntRange(min=1), default=3, help="Starts of each fit.")
@_random_state_option
@debug_option
def demo(out: Path, **options: Any) -> None:
    """See it work: generate a recording, fit it, and compare with the truth.

    Simulates spikes on a synthetic connectome, writes them as NWB (recording.nwb), reads that
    back, fits the three priors to four fifths of the sessions, decodes the states, compares
    states and couplings with the truth, and writes the result folder as `fit` does.
    """
    from onehotglm import workflow
    from onehotglm.evaluation import hold_out
    from onehotglm.io import ensure_writable_folder, load_nwb, load_nwb_truth, save_nwb

    folder = ensure_writable_folder(out)
    file = save_nwb(folder / "recording.nwb", _simulate(options))
    click.echo(f"wrote {file}, reading it back")
    spikes = load_nwb(file, options["bin_size"], epochs="session")
    truth = load_nwb_truth(file, spikes)
    train, test = hold_out(spikes)
    fits = _fit_with_progress(train, test, options)
    facts = {"Recording": f"simulated, {options['wiring']} wiring"}
    content = workflow.write_results(folder, "Demo", fits, spikes, test, facts=facts, truth=truth)
    _say_results(content, folder)


def _load(file: Path, options: dict[str, Any], n_history_bins: int) -> tuple[Any, dict[str, str]]:
    """Read the counts, and say in words what was read."""
    from onehotglm.io import describe_nwb, load_nwb

    trials, epochs = options["trials"], list(options["epochs"])
    spikes = load_nwb(
        file,
        options["bin_size"],
        epochs=epochs or None,
        trials=trials,
        align_to=options["align_to"],
        window=options["window"],
        session_length=None if trials else options["session_length"] or None,
        units=options["units"],
        quality=options["quality"],
        min_rate=options["min_rate"],
        n_history_bins=n_history_bins,
    )
    n_recorded, n_read = len(describe_nwb(file).units), spikes.sizes["neuron"]
    facts = {
        "Recording": file.name,
        "Read": trials or ", ".join(epochs) or "all of it",
        "Units read": f"{n_read} of {n_recorded} (least rate {options['min_rate']:g} Hz)",
    }
    return spikes, facts


def _truth(file: Path, spikes: Any) -> Any:
    """Wiring behind a simulated recording; None of a real one."""
    from onehotglm.errors import DataFileError
    from onehotglm.io import load_nwb_truth

    try:
        return load_nwb_truth(file, spikes)
    except DataFileError:
        return None


def _simulate(options: dict[str, Any]) -> Any:
    from onehotglm.simulate import simulate_population

    return simulate_population(
        options["wiring"],
        n_neurons=options["n_neurons"],
        n_states=options["n_states"],
        n_sessions=options["n_sessions"],
        n_time_bins=round(options["session_length"] / options["bin_size"]),
        bin_size=options["bin_size"],
        mean_rate=options["mean_rate"],
        dwell_time=options["dwell_time"],
        random_state=options["random_state"],
    )


def _parameters(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _MODEL_PARAMETERS if name in options}


def _fit_with_progress(
    train: Any, test: Any, options: dict[str, Any], kept_in: Path | None = None
) -> list[Any]:
    from tqdm import tqdm

    from onehotglm.workflow import fit_and_score, model_settings, with_checkpoints

    settings = model_settings(options.get("prior", "all"), _parameters(options))
    if kept_in is not None:
        settings = with_checkpoints(settings, kept_in)
    fits = []
    with tqdm(settings.items(), unit="fit", leave=False, disable=None) as bar:
        for name, chosen in bar:
            bar.set_description(f"fitting {name}")
            fits.append(fit_and_score(name, chosen, train, test))
    for message in (message for fit in fits for message in fit.warnings):
        click.echo(f"warning: {message}", err=True)
    return fits


def _say_results(content: Any, folder: Path) -> None:
    click.echo("\nPrediction of held-out sessions (bits per spike; 95 % intervals over sessions)")
    click.echo(content.scores.round(3).to_string(index=False, na_rep="-"))
    if content.recovery is not None:
        click.echo(f"true parameters: {content.true_score:.3f} bits per spike")
        click.echo("\nComparison with the truth")
        click.echo(content.recovery.round(3).to_string(na_rep="-"))
    click.echo(f"\nopen {folder / 'report.html'}")
