//! Which roles may call what: the one table. What does not stand in it is allowed to nobody.

use crate::access::{Denied, Role};

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Anyone, without a token.
    Open,
    /// Holders of a token of one of these roles.
    Roles(&'static [Role]),
}

/// A method, by its path in HTTP, with its rule.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) path: &'static str,
    pub(super) rule: Rule,
}

/// The page of metrics; the only path that is no gRPC method.
pub(super) const METRICS: &str = "/metrics";

const WORK: Rule = Rule::Roles(&[Role::Worker]);
const READ: Rule = Rule::Roles(&[Role::Read, Role::Submit, Role::Admin]);
const SUBMIT: Rule = Rule::Roles(&[Role::Submit, Role::Admin]);
const ADMIN: Rule = Rule::Roles(&[Role::Admin]);

const fn method(path: &'static str, rule: Rule) -> Method {
    Method { path, rule }
}

/// Every path that is answered.
pub(super) const METHODS: [Method; 31] = [
    method("/phasegrid.v1.WorkerService/Register", WORK),
    method("/phasegrid.v1.WorkerService/Lease", WORK),
    method("/phasegrid.v1.WorkerService/Heartbeat", WORK),
    method("/phasegrid.v1.WorkerService/Report", WORK),
    method("/phasegrid.v1.WorkerService/Finish", WORK),
    method("/phasegrid.v1.WorkerService/Release", WORK),
    method("/phasegrid.v1.WorkerService/Reclaim", WORK),
    method("/phasegrid.v1.WorkerService/FindBaseline", WORK),
    method("/phasegrid.v1.WorkerService/StoreBaseline", WORK),
    method("/phasegrid.v1.SweepService/CreateSweep", SUBMIT),
    method("/phasegrid.v1.SweepService/CancelSweep", SUBMIT),
    method("/phasegrid.v1.SweepService/PauseSweep", SUBMIT),
    method("/phasegrid.v1.SweepService/ResumeSweep", SUBMIT),
    method("/phasegrid.v1.SweepService/PrioritiseSweep", SUBMIT),
    method("/phasegrid.v1.SweepService/RetrySweep", SUBMIT),
    method("/phasegrid.v1.SweepService/CountKnown", READ),
    method("/phasegrid.v1.SweepService/GetSweep", READ),
    method("/phasegrid.v1.SweepService/ListSweeps", READ),
    method("/phasegrid.v1.SweepService/WatchSweep", READ),
    method("/phasegrid.v1.SweepService/ReadTable", READ),
    method("/phasegrid.v1.SweepService/ExplainPoint", READ),
    method("/phasegrid.v1.SweepService/ListWorkers", READ),
    // A worker is everybody's.
    method("/phasegrid.v1.SweepService/DrainWorker", ADMIN),
    method("/phasegrid.v1.TokenService/CreateToken", ADMIN),
    method("/phasegrid.v1.TokenService/ListTokens", ADMIN),
    method("/phasegrid.v1.TokenService/RevokeToken", ADMIN),
    // What balances load and restarts containers has no token, and learns no more than that there is a coordinator.
    method("/grpc.health.v1.Health/Check", Rule::Open),
    // A stream costs memory for as long as it lasts.
    method("/grpc.health.v1.Health/Watch", READ),
    method("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", READ),
    method("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", READ),
    method(METRICS, READ),
];

/// The method of a path, if there is one.
pub(super) fn find(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}

impl Method {
    /// Whether a role may call it.
    pub(super) fn check(&self, has: Role) -> Result<(), Denied> {
        match self.rule {
            Rule::Open => Ok(()),
            Rule::Roles(roles) if roles.contains(&has) => Ok(()),
            Rule::Roles(roles) => {
                let takes = roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(" or ");
                let call = self.path.rsplit('/').next().unwrap_or(self.path).to_owned();
                Err(Denied::Role { call, has, takes })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The paths of all methods that the compiled descriptors have.
    fn described() -> BTreeSet<String> {
        let sets = [
            phasegrid_proto::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let files = sets.into_iter().flat_map(|bytes| FileDescriptorSet::decode(bytes).unwrap().file);
        let services = files.flat_map(|file| {
            let package = file.package().to_owned();
            file.service.into_iter().map(move |service| (package.clone(), service))
        });
        let paths = services.flat_map(|(package, service)| {
            let name = service.name().to_owned();
            service.method.into_iter().map(move |method| format!("/{package}.{name}/{}", method.name()))
        });
        paths.collect()
    }

    #[test]
    fn every_method_that_there_is_stands_in_the_table_and_no_other() {
        let table: BTreeSet<_> =
            METHODS.iter().map(|method| method.path.to_owned()).filter(|path| path != METRICS).collect();
        assert_eq!(table.len() + 1, METHODS.len(), "none stands there twice");
        let described = described();
        assert!(described.len() >= 20, "the descriptors are there: {described:?}");
        assert_eq!(table, described);
    }

    #[test]
    fn a_worker_may_work_and_nothing_else() {
        for method in METHODS.iter().filter(|method| method.rule != Rule::Open) {
            let works = method.path.starts_with("/phasegrid.v1.WorkerService/");
            assert_eq!(method.check(Role::Worker).is_ok(), works, "{}", method.path);
            assert_eq!(method.check(Role::Admin).is_ok(), !works, "{}", method.path);
        }
    }

    #[test]
    fn a_refusal_names_the_roles_that_would_do() {
        let refusal = find("/phasegrid.v1.SweepService/CreateSweep").unwrap().check(Role::Read).unwrap_err();
        let expected = "a token of role read does not allow CreateSweep: it takes one of role submit or admin";
        assert_eq!(refusal.to_string(), expected);
    }
}
