//! `phasegrid calibrate`: from a first guess to a sampler whose estimates are healthy and right.

use std::path::Path;

use phasegrid_tests::tables::column;
use phasegrid_tests::{Call, Folder, Output, read, sweeps};

/// L = ½·Σ w_k² in ten dimensions, with a first guess at which chains of this length do not mix.
const POTENTIAL: &str = r#"# ten directions of curvature 1
name = "potential"

[task.data]
kind = "origin"

[task.model]
kind = "potential"
curvatures = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]

[task.train]
steps = 0

[task.llc]
step_size = 1.0e-5     # a guess
nbeta = 100
localization = 30      # another
chains = 8
burn_in = 500
draws = 1000
batch_size = "full"

[axes]
seed = { from = 0, count = 2 }
"#;

/// Half decades of ε around its plateau, decades of γ.
const GRID: [&str; 6] = ["--step-sizes", "1e-5:0.1:9", "--localizations", "1:100:3", "--nbetas", "100"];

fn calibrate<'a>(sweep: &'a str, out: &'a str, flags: &[&'a str]) -> Call {
    Call::new(["calibrate", sweep, "--out", out, "--workers", "1"].iter().chain(flags))
}

/// What a call that must succeed wrote to stdout and stderr.
fn success(output: Output) -> (String, String) {
    assert_eq!(output.code, 0, "{output:?}");
    (output.stdout, output.stderr)
}

#[test]
fn a_calibrated_sweep_has_the_predicted_sampler_and_estimates_that_are_healthy_and_right() {
    let folder = Folder::new();
    let sweep = folder.file("sweep.toml", POTENTIAL);
    let out = folder.at("out");
    let (stdout, stderr) = success(calibrate(&sweep, &out, &GRID).output());
    // With a = nβ + γ = 101, the LLC grows by 5 % from ε = 1e-3 to 3.16e-3, and by 21 % from there to 0.01, as
    // 1/(1 − εa/4): the plateau ends at 3.16e-3. γ/a is least at γ = 1.
    assert!(stderr.contains("chosen: step_size 1e-3, localization 1, nbeta 100"), "{stderr}");
    assert_eq!(stdout.matches('@').count(), 2, "one setting is marked, and the mark explained: {stdout}");

    let calibrated = folder.at("sweep.calibrated.toml");
    let expected = POTENTIAL
        .replace("step_size = 1.0e-5     # a guess", "step_size = 1e-3     # a guess")
        .replace("localization = 30      # another", "localization = 1      # another");
    assert_eq!(read(&calibrated), expected);
    assert_eq!(read(&sweep), POTENTIAL, "the sweep file is not touched");

    let table = read(format!("{out}/calibration.csv"));
    assert_eq!(column(&table, "chosen").iter().filter(|chosen| *chosen == "1").count(), 1);
    assert_eq!(column(&table, "verdict").len(), 27, "one point, one checkpoint, 9 × 3 settings");
    for figure in ["calibration.svg", "calibration.png"] {
        assert!(Path::new(&out).join(figure).is_file(), "{figure} is missing");
    }

    let results = folder.at("results");
    let _ = Call::new(["run", &calibrated, "--out", &results, "--workers", "1"]).output().success();
    let tasks = read(results + "/tasks.csv");
    assert_eq!(column(&tasks, "final_health"), ["ok"; 2]);
    // ½·10·(100/101)/(1 − 0.101/4) = 5.079. The standard error of 8·1000 draws, of which about every 20th is independent,
    // is 5.08·√(2/10)/√400 = 0.11: four of them.
    for llc in column(&tasks, "final_llc") {
        assert!((llc.parse::<f64>().unwrap() - 5.079).abs() < 0.45, "{llc}");
    }
}

#[test]
fn the_same_command_again_takes_what_it_has_and_writes_the_same() {
    let folder = Folder::new();
    let (sweep, out) = (folder.file("sweep.toml", POTENTIAL), folder.at("out"));
    let flags = ["--step-sizes", "1e-4:1e-2:5", "--localizations", "1", "--nbetas", "100", "--in-place"];
    let (_, stderr) = success(calibrate(&sweep, &out, &flags[..6]).output());
    assert!(stderr.contains("∂ log LLC / ∂ log γ is not known"), "{stderr}");
    let (_, stderr) = success(calibrate(&sweep, &out, &flags).output());
    assert!(stderr.contains("going on in"), "{stderr}");
    assert_eq!(read(&sweep), read(folder.at("sweep.calibrated.toml")));
    assert_ne!(read(&sweep), POTENTIAL);
}

#[test]
fn a_sweep_on_stdin_comes_out_calibrated_on_stdout() {
    let folder = Folder::new();
    let (sweep, out) = (folder.file("sweep.toml", POTENTIAL), folder.at("out"));
    let flags =
        ["--step-sizes", "1e-4:1e-2:5", "--localizations", "1", "--nbetas", "100", "--set", "task.llc.draws=900"];
    let call = calibrate("-", &out, &flags).through(&format!("exec \"$@\" < {sweep}"));
    let (stdout, stderr) = success(call.output());
    assert!(stdout.starts_with("# ten directions of curvature 1\n"), "{stdout}");
    assert!(stdout.contains("draws = 900\n"), "what the sampler was calibrated with is part of it: {stdout}");
    assert!(stderr.contains("@ chosen"), "the map is talk then: {stderr}");
}

#[test]
fn without_a_plateau_it_says_why_and_what_to_try_and_writes_no_sweep() {
    let folder = Folder::new();
    let (sweep, out) = (folder.file("sweep.toml", POTENTIAL), folder.at("out"));
    let flags = ["--step-sizes", "0.1:10:3", "--localizations", "1", "--nbetas", "100"];
    let output = calibrate(&sweep, &out, &flags).output();
    assert_eq!(output.code, 10, "{output:?}");
    for need in
        ["localization 1, nbeta 100: ", " from 0.1", "try: the chains diverge: smaller --step-sizes", "no plateau"]
    {
        assert!(output.stderr.contains(need), "\"{need}\" is missing: {output:?}");
    }
    assert!(output.stdout.contains("localization 1\n") && !output.stdout.contains('@'), "{output:?}");
    assert!(!Path::new(&folder.at("sweep.calibrated.toml")).exists());
}

#[test]
fn what_cannot_be_calibrated_is_refused_before_anything_runs() {
    let folder = Folder::new();
    let (sweep, out) = (folder.file("sweep.toml", POTENTIAL), folder.at("out"));
    let refused = |sweep: &str, flags: &[&str], code: i32, needs: &[&str]| {
        calibrate(sweep, &out, flags).output().failure(code, needs);
        assert!(!Path::new(&out).exists(), "nothing has run");
    };
    let bare = folder.file("bare.toml", sweeps::quadratic(80, 1).split("[task.llc]").next().unwrap());
    refused(&bare, &[], 3, &["bare.toml", "[task.llc]"]);
    let varied = folder.file("varied.toml", format!("{POTENTIAL}\"llc.nbeta\" = [10, 100]\n"));
    refused(&varied, &[], 3, &["axes.llc.nbeta", "take the axis out"]);
    refused(&sweep, &["--step-sizes", "1e-3:1e-5:3"], 2, &["--step-sizes", "FROM:TO:POINTS"]);
    refused(&sweep, &["--nbetas", "0"], 2, &["--nbetas", "above 0"]);
    refused(&sweep, &["--tolerance", "0"], 2, &["--tolerance", "above 0"]);
    refused(&sweep, &["--checkpoints", "7"], 2, &["--checkpoints", "step 7", "0 to 0"]);
    refused(&sweep, &["--output", &sweep], 2, &["--output", "--in-place"]);
    refused(&sweep, &["--in-place", "--output", "x.toml"], 2, &["--in-place", "--output"]);
    refused("-", &["--in-place"], 2, &["--in-place", "stdin"]);
    refused(&sweep, &["--output", "no/such/folder.toml"], 2, &["--output", "no/such"]);
    refused(&sweep, &["--step-sizes", "1e-5:1:100", "--localizations", "1:10:100"], 2, &["30000 samplers", "4096"]);
}
