//! One workload on both sides, and what that says.

use phasegrid_proto::task::{BatchSize, Model, TaskConfig};
use phasegrid_proto::v1::Record;
use phasegrid_worker::{cuda, models};
use tch::Device;

use crate::clock::Seconds;
use crate::ours;
use crate::peer::{Answer, Manner, Peer};
use crate::workloads::Workload;

/// Both sides, ready.
pub(crate) struct Bench {
    pub(crate) peer: Peer,
    pub(crate) device: Device,
    /// GFLOP/s of one core.
    pub(crate) peak: Option<f64>,
}

/// Means over all estimates may differ by so much: some standard errors of the shortest workload.
const LLC_TOLERANCE: f64 = 0.05;

/// Losses that no chance enters may differ by so much: rounding, grown over 50 steps.
const LOSS_TOLERANCE: f64 = 1e-3;

impl Bench {
    pub(crate) fn run(&mut self, workload: &Workload) -> Result<(), Box<dyn std::error::Error>> {
        let Workload { name, tasks, alike, threads, .. } = workload;
        let (seconds, records) = ours::run(tasks, self.device, *threads);
        println!("bench {name}_ours {:.3} s", seconds.wall);
        println!("bench {name}_ours_processor {:.3} s", seconds.processor);
        if workload.sampling {
            self.rates(name, &tasks[0], seconds);
        }
        for (manner, loader) in [("as_used", true), ("no_loader", false)] {
            let device = cuda::name(&[self.device]);
            let manner_of_peer = Manner { loader, threads: *threads, device: &device };
            let mut spent = Seconds { wall: 0.0, processor: 0.0 };
            let mut checks = Checks::default();
            for (task, records) in tasks.iter().zip(&records).step_by(*alike) {
                let answer = self.peer.run(task, manner_of_peer)?;
                spent.wall += answer.seconds.wall * *alike as f64;
                spent.processor += answer.seconds.processor * *alike as f64;
                checks.take(task, records, &answer);
            }
            let note = if *alike > 1 { format!("  (1 task of {alike}, extrapolated)") } else { String::new() };
            println!("bench {name}_peer_{manner} {:.3} s{note}", spent.wall);
            println!("bench {name}_ratio_{manner} {:.2} x", spent.wall / seconds.wall);
            println!("bench {name}_ratio_{manner}_processor {:.2} x", spent.processor / seconds.processor);
            checks.tell(name, manner)?;
        }
        Ok(())
    }

    /// Useful arithmetic is 6·n·K·p a step: a product on the way forward and two on the way back.
    fn rates(&self, name: &str, task: &TaskConfig, seconds: Seconds) {
        let (Model::Quadratic { width, .. }, Some(llc)) = (&task.model, &task.llc) else { return };
        let sampler = &llc.samplers[0];
        let n = sampler.batch_size.resolve(task.data.train_examples()) as f64;
        let flops = 6.0 * n * f64::from(*width) * models::of(task).outputs() as f64 * sampler.steps() as f64;
        println!("bench {name}_step {:.1} us", seconds.wall * 1e6 / sampler.steps() as f64);
        println!("bench {name}_rate {:.1} GFLOP/s", flops / seconds.wall / 1e9);
        if let Some(peak) = self.peak {
            println!("bench {name}_share_of_peak {:.1} %", flops / seconds.wall / 1e7 / peak);
        }
    }
}

/// Whether both sides did the same.
#[derive(Default)]
struct Checks {
    ours: f64,
    peers: f64,
    /// The largest relative difference of losses that should be equal.
    loss: f64,
}

impl Checks {
    fn take(&mut self, task: &TaskConfig, records: &[Record], answer: &Answer) {
        assert_eq!(records.len(), answer.records.len(), "the same checkpoints");
        for (record, peers) in records.iter().zip(&answer.records) {
            self.ours += record.estimates[0].llc.expect("a chain of the benchmark fails");
            self.peers += peers.llc;
            let deterministic = record.step == 0 || task.train.batch_size == BatchSize::Full;
            if deterministic {
                let loss = record.train_loss.expect("a finite loss");
                self.loss = self.loss.max((peers.train_loss / loss - 1.0).abs());
            }
        }
    }

    fn tell(&self, name: &str, manner: &str) -> Result<(), String> {
        let llc = self.peers / self.ours - 1.0;
        println!("bench {name}_llc_difference_{manner} {:.2} %", llc * 100.0);
        println!("bench {name}_loss_difference_{manner} {:.1e} of it", self.loss);
        if llc.abs() > LLC_TOLERANCE || self.loss > LOSS_TOLERANCE {
            return Err(format!("{name}: the sides disagree, so they did different work"));
        }
        Ok(())
    }
}
