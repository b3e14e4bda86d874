//! The shop: a visitor buys something, and everybody who should know of it does. The same story under both runtimes.

use std::time::Duration;

use clustergraph_tests::shop::{Place, a_purchase};
use clustergraph_tests::{Repository, Session};

/// Some services are compiled when they start for the first time, on a machine that may have much else to do.
const FIRST_START: Duration = Duration::from_secs(900);

struct Here(Session);

impl Place for Here {
    fn address(&self, service: &str) -> String {
        self.0.address(service)
    }

    fn run(&self, service: &str, command: &[&str]) -> String {
        let run = command.iter().fold(self.0.ssi(&format!("run {service} --")), |run, word| run.word(word));
        run.run().succeeds().stdout()
    }

    fn run_job(&self, job: &str) {
        let _ = self.0.ssi(&format!("run {job}")).run().succeeds();
    }
}

fn a_purchase_with(runtime: &str) {
    let repository = Repository::of_shop();
    let session = Session::of(repository.path());
    let check = session.ssi("check").run().succeeds().stdout();
    assert!(check.contains("7 databases, no problems"), "{check}");
    let _ = session.ssi(&format!("up -d --runtime {runtime}")).within(FIRST_START).run().succeeds();
    let here = Here(session);
    a_purchase(&here);
    let _ = here.0.ssi("down --delete-data").run().succeeds();
}

#[test]
fn a_purchase_with_processes() {
    a_purchase_with("process");
}

#[test]
fn a_purchase_with_docker() {
    a_purchase_with("docker");
}
