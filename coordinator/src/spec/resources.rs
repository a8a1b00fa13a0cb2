//! The `[resources]` table: what a worker must have to be given the sweep's points. Without it any worker will do.

use phasegrid_proto::task::Problem;
use serde_json::Value;

use crate::scheduler::{Device, Requirement};

const GIB: f64 = (1_u64 << 30) as f64;
/// More memory than any device has.
const MOST_GIB: f64 = 1_048_576.0;

/// Reads the table.
pub(super) fn read(value: Option<&Value>, problems: &mut Vec<Problem>) -> Requirement {
    let table = match value {
        Some(Value::Object(table)) => table,
        None => return Requirement::default(),
        Some(other) => {
            problems.push(Problem::refused("resources", other, "a table with device and memory_gib"));
            return Requirement::default();
        }
    };
    let keys = ["device", "memory_gib"];
    let unknown = table.keys().filter(|key| !keys.contains(&key.as_str()));
    problems.extend(unknown.map(|key| Problem::unknown(format!("resources.{key}"), key, keys)));
    let device = match table.get("device").map(|device| (device, device.as_str())) {
        None | Some((_, Some("any"))) => None,
        Some((_, Some("cpu"))) => Some(Device::Cpu),
        Some((_, Some("cuda"))) => Some(Device::Cuda),
        Some((other, _)) => {
            problems.push(Problem::refused("resources.device", other, "\"any\", \"cpu\" or \"cuda\""));
            None
        }
    };
    let accepted = |gib: &f64| *gib > 0.0 && *gib <= MOST_GIB;
    let memory = match table.get("memory_gib").map(|memory| (memory, memory.as_f64().filter(accepted))) {
        None => 0,
        Some((_, Some(gib))) => (gib * GIB) as u64,
        Some((other, None)) => {
            let accepted = format!("a number of GiB above 0 and up to {MOST_GIB}");
            problems.push(Problem::refused("resources.memory_gib", other, &accepted));
            0
        }
    };
    Requirement { device, memory }
}
