//! A sweep file that makes no sense is refused before anything runs, with the key, the line and what is accepted.

use std::fs;

use phasegrid_tests::{Call, Cluster, Folder, phasegrid, sweeps};

/// What is changed in a sweep file that is well, and what the refusal must say.
struct Case {
    name: &'static str,
    replace: &'static str,
    by: &'static str,
    needs: &'static [&'static str],
}

const CASES: [Case; 17] = [
    Case {
        name: "an unknown key",
        replace: "width = 16",
        by: "width = 16\nwidht = 16",
        needs: &["line 11", "task.model.widht", "width"],
    },
    Case {
        name: "an unknown table",
        replace: "[diagram]",
        by: "[diagramm]",
        needs: &["line 43", "diagramm", "diagram"],
    },
    Case {
        name: "a wrong type",
        replace: "width = 16",
        by: "width = \"wide\"",
        needs: &["line 10", "task.model.width"],
    },
    Case { name: "a missing key", replace: "modulus = 11", by: "", needs: &["task.data.modulus"] },
    Case {
        name: "an unknown kind",
        replace: "kind = \"quadratic\"",
        by: "kind = \"cubic\"",
        needs: &["line 9", "task.model.kind", "cubic", "quadratic", "deep_linear"],
    },
    Case {
        name: "a modulus of 1",
        replace: "modulus = 11",
        by: "modulus = 1",
        needs: &["line 5", "task.data.modulus", "2 to 4096"],
    },
    Case {
        name: "a modulus of 1 as a value of an axis",
        replace: "\"train.weight_decay\" = [0.0, 1.0]",
        by: "\"data.modulus\" = [11, 1]",
        needs: &["data.modulus", "2 to 4096"],
    },
    Case { name: "an empty axis", replace: "[0.0, 1.0]", by: "[]", needs: &["line 40", "train.weight_decay"] },
    Case {
        name: "an axis on an unknown path",
        replace: "\"train.weight_decay\" = [0.0",
        by: "\"train.wait_decay\" = [0.0",
        needs: &["line 40", "train.wait_decay", "weight_decay"],
    },
    Case {
        name: "a model that contradicts itself",
        replace: "width = 16",
        by: "width = 16\nwidths = [3, 2, 3]",
        needs: &["line 11", "task.model.widths", "quadratic"],
    },
    Case {
        name: "data that does not fit the model",
        replace: "kind = \"modular\"\nmodulus = 11\ntrain_fraction = 0.5",
        by: "kind = \"gaussian\"\nsamples = 100",
        needs: &["task.model.kind", "quadratic", "modular"],
    },
    Case {
        name: "a checkpoint beyond the end",
        replace: "checkpoints = [0, 80]",
        by: "checkpoints = [0, 81]",
        needs: &["task.llc.checkpoints", "81", "80"],
    },
    Case {
        name: "a batch larger than the training set",
        replace: "batch_size = \"full\"\nsteps",
        by: "batch_size = 61\nsteps",
        needs: &["task.train.batch_size", "60"],
    },
    Case {
        name: "10^30 points",
        replace: "\"train.weight_decay\" = [0.0, 1.0]\nseed = { from = 0, count = 2 }",
        by: "\"train.weight_decay\" = { from = 0.0, to = 1.0, points = 1_000_000_000 }\n\
             \"train.learning_rate\" = { from = 0.1, to = 1.0, points = 1_000_000_000 }\n\
             seed = { from = 0, count = 500_000_000_000 }",
        needs: &["axes", "1e30 points", "1000000000000"],
    },
    Case {
        name: "a diagram of an axis that there is not",
        replace: "y = \"train.weight_decay\"",
        by: "y = \"model.width\"",
        needs: &["line 45", "diagram.y", "train.weight_decay"],
    },
    Case {
        name: "a phase rule that there is not",
        replace: "[diagram]",
        by: "[diagram]\nphases = \"of the moon\"",
        needs: &["line 44", "diagram.phases", "liu_2022"],
    },
    Case { name: "text that is not TOML", replace: "width = 16", by: "width 16", needs: &["line 10"] },
];

fn source(case: &Case) -> String {
    let good = sweeps::quadratic(80, 2);
    assert!(good.contains(case.replace), "{}: the sweep file has no {}", case.name, case.replace);
    good.replacen(case.replace, case.by, 1)
}

#[test]
fn nonsense_is_refused_with_its_key_and_what_is_accepted() {
    let folder = Folder::new();
    let path = folder.file("good.toml", sweeps::quadratic(80, 2));
    let _ = phasegrid(["plan", &path]).success();
    for case in &CASES {
        println!("{}", case.name);
        let path = folder.file("bad.toml", source(case));

        let needs = [case.needs, &[&path]].concat();
        phasegrid(["plan", &path]).failure(3, &needs);
        let out = folder.at("out");
        phasegrid(["run", &path, "--out", &out]).failure(3, &needs);
        assert!(!fs::exists(&out).unwrap(), "{}: a run that is refused leaves nothing behind", case.name);
    }
}

#[test]
fn a_coordinator_refuses_the_same_with_the_same_words() {
    let cluster = Cluster::start();
    let folder = Folder::new();
    for case in CASES.iter().take(4) {
        let path = folder.file("bad.toml", source(case));

        cluster.call(["submit", &path]).output().failure(3, &[case.needs, &[&path]].concat());
    }
    assert_eq!(
        cluster.call(["list", "--format", "csv"]).output().success().lines().count(),
        1,
        "a refused sweep leaves nothing behind"
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let folder = Folder::new();
    let bad = sweeps::quadratic(80, 2).replace("modulus = 11", "modulus = 1").replace("draws = 40", "draws = 0");
    let path = folder.file("bad.toml", bad);
    phasegrid(["plan", &path]).failure(3, &["task.data.modulus", "task.llc.draws"]);
}

#[test]
fn an_override_that_makes_no_sense_is_refused_like_the_file() {
    let folder = Folder::new();
    let path = folder.file("sweep.toml", sweeps::quadratic(80, 2));
    let plan = |set| phasegrid(["plan", &path, "--set", set]);
    plan("task.model.widht=3").failure(3, &["task.model.widht", "width"]);
    plan("task.data.modulus=1").failure(3, &["task.data.modulus", "2 to 4096"]);
    plan("task.train.steps").failure(3, &["task.train.steps", "PATH=VALUE"]);
}

#[test]
fn a_sweep_file_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    let at = folder.name();
    phasegrid(["plan", &format!("{at}/none.toml")]).failure(6, &["none.toml", "No such file"]);
    phasegrid(["plan", at]).failure(6, &[at, "directory"]);
    let path = folder.file("latin1.toml", b"# caf\xe9\nname = \"x\"");
    phasegrid(["plan", &path]).failure(3, &["latin1.toml", "line 1", "UTF-8"]);
    let path = folder.file("empty.toml", "");
    phasegrid(["plan", &path]).failure(3, &["empty.toml", "task"]);
    Call::new(["plan", "-"]).output().failure(3, &["stdin", "task"]);
}
