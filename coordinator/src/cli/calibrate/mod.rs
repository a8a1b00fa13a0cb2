//! `calibrate`: which sampler the LLC of a sweep can be estimated with.
//!
//! The scan is a sweep of its own, and runs as `phasegrid run` runs one; what it means is decided in
//! [`crate::calibration`]. `target` knows where the calibrated sweep file goes.

mod target;

use std::sync::Arc;

use clap::Args;
use phasegrid_proto::v1;

use crate::calibration::{
    Choice, Estimates, Map, Request, Scan, ScanError, Slope, Values, advice, judged, regions, short,
};
use crate::plot::{Calibration, calibration_figure, calibration_text};
use crate::results::format::Format;
use crate::results::{Level, Table};
use crate::spec::Spec;

use super::client::Client;
use super::failure::Failure;
use super::input::SweepFile;
use super::output::{print, takes_colour, talk, write_file};
use super::plot::png;
use super::run::{Folder, Here, Local};
use super::table::rendered;
use super::text::counted;
use target::Target;

/// Find step size, localisation and inverse temperature with which the LLC does not depend on the sampler
///
/// A few points of the sweep are trained once each and sampled at a few checkpoints with a grid of settings. Neighbouring
/// step sizes whose estimates are healthy and agree, at every point and checkpoint, are a plateau. From it comes the
/// sampler of the calibrated sweep file; nothing else in the file is changed.
#[derive(Debug, Args)]
#[command(
    mut_arg("out", |out| out.help("The folder for results [default: phasegrid-out/NAME-calibration]")),
    after_help = "Examples:\n  phasegrid calibrate sweep.toml\n  \
    phasegrid calibrate sweep.toml --points 1 --checkpoints 0,5000,16000\n  \
    phasegrid calibrate sweep.toml --step-sizes 1e-6:1e-2:9 --localizations 1:1000:4 --nbetas 30\n  \
    phasegrid calibrate sweep.toml --set task.llc.burn_in=2000 --set task.llc.draws=2000 --in-place\n\n\
    The sampler of the file is the first guess, and everything else of it is kept: chains, burn-in, draws, batch, method.\n\
    --set of a key of task.llc is written into the calibrated file, for the sampler is calibrated with it; other overrides\n\
    are not.\n\n\
    Two neighbours agree if |∂ log LLC / ∂ log ε| is at most the tolerance plus two standard errors, and its standard error\n\
    at most the tolerance. Chosen are: the file's own nbeta if it has a plateau, else the nearest that has; the localization\n\
    at which the LLC is least sensitive to it; the largest step size whose next larger neighbour is on the plateau too.\n\n\
    Prints the maps (stdout), and leaves in DIR: calibration.csv with all estimates, calibration.svg and calibration.png\n\
    with the LLC against the step size, and the workers' logs. Interrupted, the same command goes on where it was.\n\
    Without a plateau it says why and what to try, ends with 10 and writes no sweep file."
)]
pub(super) struct Calibrate {
    #[command(flatten)]
    file: SweepFile,
    /// How many points of the sweep take part: evenly spread along all axes at once, at the first seed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    points: u64,
    /// The checkpoints at which they do, as in 0,5000,16000 [default: the first, the middle and the last of the sweep's]
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    checkpoints: Option<Vec<u64>>,
    /// The step sizes to try, geometrically spaced, or one number; shares, where the file has { stable = SHARE }
    /// [default: 7 over three decades around the file's own]
    #[arg(long, value_name = "FROM:TO:POINTS", value_parser = positive)]
    step_sizes: Option<Values>,
    /// The localisations to try, likewise [default: 3 over a decade around the file's own]
    #[arg(long, value_name = "FROM:TO:POINTS", value_parser = values)]
    localizations: Option<Values>,
    /// The inverse temperatures nβ to try, likewise [default: 3 over a decade around the file's own]
    #[arg(long, value_name = "FROM:TO:POINTS", value_parser = positive)]
    nbetas: Option<Values>,
    /// The slope |∂ log LLC / ∂ log ε| up to which neighbouring estimates agree
    #[arg(long, value_name = "SLOPE", default_value_t = 0.1, value_parser = tolerance)]
    tolerance: f64,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    here: Here,
}

impl Calibrate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.target.check(&self.file)?;
        let source = self.file.read()?;
        let spec = self.file.parse(&source)?;
        let scan = self.scan(&spec)?;
        talk(&format!(
            "{} at {} of {}, sampled with {} step sizes × {} localizations × {} nbetas",
            counted(scan.points.len() as u64, "point"),
            counted(scan.checkpoints.len() as u64, "checkpoint"),
            spec.name(),
            scan.grid.step_sizes.len(),
            scan.grid.localizations.len(),
            scan.grid.nbetas.len(),
        ));
        self.target.rehearse(&self.file, &source, &spec, &scan)?;
        let file = self.file.without_overrides();
        let local = Local { file: &file, source: scan.source.clone(), spec: &scan.spec };
        let ((records, failed), end, folder) = self.here.run(local, report).await?;
        failed.iter().for_each(|failed| talk(&format!("point {}: {}", failed.point, failed.error)));
        end.into_result("the workers' logs are in the folder, `--retry` gives them another go")?;
        self.conclude(&source, &spec, &scan, records, &folder)
    }

    fn scan(&self, spec: &Spec) -> Result<Scan, Failure> {
        let request = Request {
            points: self.points,
            checkpoints: self.checkpoints.clone(),
            values: [self.step_sizes.clone(), self.localizations.clone(), self.nbetas.clone()],
        };
        Scan::new(spec, request).map_err(|error| match error {
            ScanError::Beyond { .. } | ScanError::TooMany(_) => Failure::Usage(error.to_string()),
            ScanError::NoSampler | ScanError::Varied(_) | ScanError::Spec(_) => self.file.failure(error.to_string()),
        })
    }

    /// Shows what was found, leaves it in the folder, and writes the calibrated file if there is a choice.
    fn conclude(&self, source: &str, spec: &Spec, scan: &Scan, records: Table, folder: &Folder) -> Result<(), Failure> {
        let estimates = Estimates::read(scan, &records);
        if estimates.sites.is_empty() {
            let early = "no point got as far as a checkpoint of the scan: choose earlier ones with --checkpoints";
            return Err(Failure::Refused(early.to_owned()));
        }
        let map = Map::new(&scan.grid, &estimates, self.tolerance);
        let choice = map.choice();
        let mut sites: Vec<String> = estimates.sites.iter().map(|site| scan.label(site)).collect();
        map.hopeless().iter().for_each(|(site, verdict)| sites[*site] += &format!(": no plateau, {}", verdict.name()));
        let calibration = Calibration {
            name: spec.name(),
            grid: &scan.grid,
            estimates: &estimates,
            map: &map,
            choice: choice.as_ref(),
            sites: &sites,
            tolerance: self.tolerance,
        };
        self.show(&calibration)?;
        leave(folder, &calibration, &judged(scan, &map, choice.as_ref(), records))?;
        unreached(scan, &estimates);
        hopeless(&map, &sites);
        let Some(choice) = choice else { return Err(no_plateau(scan, &map)) };
        explain(scan, &choice, self.tolerance);
        self.target.write(&self.file, source, spec, scan, choice.node)
    }

    /// The maps are data, unless stdout is for the sweep file.
    fn show(&self, calibration: &Calibration<'_>) -> Result<(), Failure> {
        if self.target.is_stdout(&self.file) {
            talk(&calibration_text(calibration, takes_colour(&std::io::stderr())));
            return Ok(());
        }
        print(calibration_text(calibration, takes_colour(&std::io::stdout())).as_bytes())
    }
}

/// What the scan found, and which of its points failed.
async fn report(client: &mut Client, id: &str, _: &Arc<Folder>) -> Result<(Table, Vec<v1::FailedPoint>), Failure> {
    Ok((client.table(id, Level::Records).await?, client.sweep(id).await?.1))
}

/// Leaves table and figure in the folder.
fn leave(folder: &Folder, calibration: &Calibration<'_>, table: &Table) -> Result<(), Failure> {
    let svg = calibration_figure(calibration);
    let files = [
        ("calibration.csv", rendered(table, Format::Csv)?),
        ("calibration.png", png(&svg)?),
        ("calibration.svg", svg.into_bytes()),
    ];
    files.iter().try_for_each(|(name, data)| write_file(&folder.path().join(name), data))?;
    talk(&format!("{} holds calibration.csv, calibration.svg and calibration.png", folder.path().display()));
    Ok(())
}

/// Names the checkpoints that some points did not get to, as those that stop early.
fn unreached(scan: &Scan, estimates: &Estimates) {
    for step in &scan.checkpoints {
        let took_part = |point: &usize| estimates.sites.iter().any(|site| (site.point, site.step) == (*point, *step));
        let missing = (0..scan.points.len()).filter(|point| !took_part(point)).count();
        if missing > 0 {
            let all = counted(scan.points.len() as u64, "point");
            talk(&format!("{missing} of {all} stopped before step {step}, and took no part there"));
        }
    }
}

/// Names the sites at which no setting has a plateau.
fn hopeless(map: &Map<'_>, sites: &[String]) {
    if map.hopeless().is_empty() {
        return;
    }
    let left_out = if map.hopeless().len() < sites.len() { ", and is left out" } else { "" };
    map.hopeless().iter().for_each(|(site, _)| talk(&format!("{} with most settings{left_out}", sites[*site])));
}

/// What the choice rests on.
fn explain(scan: &Scan, choice: &Choice, tolerance: f64) {
    let [step_size, localization, nbeta] = scan.grid.levels(choice.node).map(|level| short(level.number));
    let end = |step_size: usize| short(scan.grid.step_sizes[step_size].number);
    let (first, last) = (choice.plateau.step_sizes.start, choice.plateau.step_sizes.end - 1);
    talk(&format!(
        "chosen: step_size {step_size}, localization {localization}, nbeta {nbeta}, on the plateau from step_size {} to {}",
        end(first),
        end(last)
    ));
    let (chosen, own) = (scan.grid.levels(choice.node)[2], &scan.grid.own[2]);
    if chosen != own && scan.grid.nbetas.contains(own) {
        let (own, nbeta) = (short(own.number), short(chosen.number));
        talk(&format!("the file's nbeta {own} has no plateau; {nbeta} asks another question, at another temperature"));
    }
    let slope = |slope: Slope| format!("{:.3} ± {:.3}", slope.value, slope.error);
    talk(&format!("∂ log LLC / ∂ log ε there: {}", slope(choice.step_size_slope)));
    match choice.localization_slope {
        None => talk("∂ log LLC / ∂ log γ is not known: no other localization is healthy there"),
        Some(sensitivity) => {
            talk(&format!("∂ log LLC / ∂ log γ there: {}", slope(sensitivity)));
            if sensitivity.error > tolerance {
                talk("noise hides whether the LLC depends on the localization: longer chains would tell");
            } else if sensitivity.certain() > tolerance {
                talk(
                    "the LLC depends on the localization: compare estimates of one only, or try weaker ones with longer chains",
                );
            }
        }
    }
    if last + 1 == scan.grid.step_sizes.len() {
        talk("the plateau reaches the largest step size of the scan: larger ones may do as well, see --step-sizes");
    }
}

/// Why there is no choice, and what to try.
fn no_plateau(scan: &Scan, map: &Map<'_>) -> Failure {
    regions(&scan.grid, map).iter().for_each(|region| talk(region));
    advice(&scan.grid, map).iter().for_each(|next| talk(&format!("try: {next}")));
    let limits = "at no localization and nbeta are two neighbouring step sizes healthy and of one LLC at every point and \
         checkpoint; no sweep file is written";
    Failure::NoPlateau(limits.to_owned())
}

fn values(text: &str) -> Result<Values, String> {
    text.parse()
}

fn positive(text: &str) -> Result<Values, String> {
    let values = values(text)?;
    if values.is_positive() { Ok(values) } else { Err("accepted: numbers above 0".to_owned()) }
}

fn tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| *number > 0.0 && *number <= 10.0);
    number.ok_or_else(|| "accepted: a number above 0, up to 10".to_owned())
}
