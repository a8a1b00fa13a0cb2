//! The other side: `worker/bench/peer.py`, one process that is asked in lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use phasegrid_proto::task::{BatchSize, Loss, Model, StepSize, TaskConfig};
use phasegrid_worker::data::{Examples, Inputs, Set, Targets};
use phasegrid_worker::models;
use serde_json::{Value, json};

use crate::clock::Seconds;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The running peer.
pub(crate) struct Peer {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What the peer says of one task.
#[derive(serde::Deserialize)]
pub(crate) struct Answer {
    #[serde(flatten)]
    pub(crate) seconds: Seconds,
    pub(crate) records: Vec<Measured>,
}

/// The peer's measurements of a checkpoint.
#[derive(serde::Deserialize)]
pub(crate) struct Measured {
    pub(crate) train_loss: f64,
    pub(crate) llc: f64,
}

/// How the peer gets its examples and on what it computes.
#[derive(Clone, Copy)]
pub(crate) struct Manner<'a> {
    pub(crate) loader: bool,
    pub(crate) threads: usize,
    pub(crate) device: &'a str,
}

impl Peer {
    pub(crate) fn start(python: &str, program: &str) -> Result<Self> {
        let mut child = Command::new(python).arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the peer has no pipes".into());
        };
        let mut peer = Self { child, requests, answers: BufReader::new(answers) };
        eprintln!("bench: the peer runs: {}", peer.read::<Value>()?);
        Ok(peer)
    }

    /// Has `task` trained and sampled.
    pub(crate) fn run(&mut self, task: &TaskConfig, manner: Manner) -> Result<Answer> {
        let request = request(task, manner)?;
        writeln!(self.requests, "{request}")?;
        self.requests.flush()?;
        self.read()
    }

    fn read<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the peer has ended; its reason stands above".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    pub(crate) fn stop(self) -> Result<()> {
        let Self { mut child, requests, answers } = self;
        drop((requests, answers)); // its loop ends
        child.wait()?;
        Ok(())
    }
}

fn request(task: &TaskConfig, manner: Manner) -> Result<Value> {
    let (Model::Quadratic { width, .. }, Some(llc)) = (&task.model, &task.llc) else {
        return Err("the peer knows quadratic networks, sampled".into());
    };
    let sampler = &llc.samplers[0];
    let StepSize::Fixed(step_size) = sampler.step_size else { return Err("the peer knows fixed step sizes".into()) };
    let examples = Examples::of(task);
    let n = examples.train.len() as u64;
    let size = |batch_size: BatchSize| match batch_size {
        BatchSize::Full => None,
        BatchSize::Size(size) => Some(size),
    };
    let steps = task.record_steps();
    let mut train = serde_json::to_value(task.train.optimizer)?;
    let every = steps.iter().copied().find(|step| *step > 0).unwrap_or(0);
    for (key, value) in [
        ("batch_size", json!(size(task.train.batch_size))),
        ("checkpoints", json!(steps.len())),
        ("every", json!(every)),
        ("from_start", json!(steps[0] == 0)),
    ] {
        train[key] = value;
    }
    Ok(json!({
        "modulus": models::of(task).outputs(),
        "width": width,
        "loss": if task.train.loss == Loss::CentredMse { "centred_mse" } else { "mse" },
        "weights": models::initial_weights(task),
        "train_set": set(&examples.train)?,
        "validation_set": set(&examples.validation)?,
        "train": train,
        "sampler": {
            "step_size": step_size,
            "localization": sampler.localization,
            "nbeta": sampler.nbeta.resolve(n, sampler.batch_size.resolve(n)),
            "chains": sampler.chains,
            "burn_in": sampler.burn_in,
            "draws": sampler.draws,
            "batch_size": size(sampler.batch_size),
        },
        "loader": manner.loader,
        "threads": manner.threads,
        "device": manner.device,
    }))
}

fn set(set: &Set) -> Result<Value> {
    match (&set.inputs, &set.targets) {
        (Inputs::Pairs(pairs), Targets::Classes { classes, .. }) => Ok(json!({ "pairs": pairs, "classes": classes })),
        _ => Err("the peer knows classes of pairs".into()),
    }
}
