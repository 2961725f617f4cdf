//! Games that take all that they can get.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and speak as tests do"
)]

mod common;

use std::time::Duration;

use common::{
    Bed, bed, bed_with, ended, eventually, in_home, must_run, open_to_all, said, shell, spec, until,
};
use media::ByteSize;
use nearlight_host::Game as _;
use nearlight_host::confine::cgroup::{Controller, Tree};
use nearlight_host::confine::{Bubblewrap, Config, End, Exit, How, Mark, Phase, Program, Sandbox};

/// Whether a control group bounds this here; a machine that must run everything must have it.
fn is_bounded(bed: &Bed, controller: Controller) -> bool {
    let tree = Tree::find(&Mark::own().unwrap());
    let has = tree.as_ref().is_ok_and(|tree| tree.has(controller));
    assert!(has || !must_run(), "NEARLIGHT_HOST is set, and {tree:?}");
    if !has {
        println!("left out: {:?}", bed.confinement.found().limits);
    }
    has
}

fn is_playable(bed: &Bed) {
    let sandbox = bed.play(&spec("after"), shell("echo fine"));
    assert_eq!(ended(&sandbox).how, How::Exited(Exit::Code(0)));
    assert_eq!(sandbox.said(), ["fine"]);
}

fn killed(sandbox: &Sandbox) {
    sandbox.kill();
    assert_eq!(ended(sandbox), End { how: How::Killed, gone: true });
}

/// Each of its processes forks for as long as it is let, and beyond, and notes every birth and every refusal. None of them ends:
/// as many are there as were born. It stops by itself at far more than it may have.
const BOMB: &str = r#"
open my $born, ">>", "$ENV{HOME}/born" or die;
open my $refused, ">>", "$ENV{HOME}/refused" or die;
while ((-s $born) < 256) {
    my $child = fork;
    if (!defined $child) { syswrite $refused, sprintf("%d\n", $!); select undef, undef, undef, 0.05 }
    elsif ($child == 0) { syswrite $born, "." }
}
sleep 100000;
"#;

#[test]
fn a_fork_bomb_meets_its_limit_and_is_killed_whole() {
    const MOST: u32 = 64;
    // Where there are no control groups, the limit of the user counts.
    for limits in [true, false] {
        let Some(bed) = bed_with(|config| config.limits = limits) else { return };
        let neighbour = bed.start(&spec("neighbour"));
        until(&neighbour, &Phase::Waiting);
        let mut spec = spec("bomb");
        spec.limits.processes = Some(MOST);
        let args = vec!["-e".into(), BOMB.into()];
        let sandbox = bed
            .play(&spec, Program { command: "/usr/bin/perl".into(), args, ..Program::default() });
        let born = || in_home(&sandbox, "born").unwrap_or_default().len();
        let refused = eventually("refusals", || {
            let told = in_home(&sandbox, "refused").unwrap_or_default();
            let told = String::from_utf8(told).unwrap();
            // Every process of it has tried again and again.
            (told.lines().count() >= 500 || born() >= 256).then_some(told)
        });
        let again = rustix::io::Errno::AGAIN.raw_os_error().to_string();
        assert!(refused.lines().all(|line| line == again), "{refused}");
        if limits && is_bounded(&bed, Controller::Processes) {
            // The kernel counts those that it is about to refuse, too.
            let all = || (sandbox.usage().processes >= Some(MOST)).then_some(());
            eventually("all that it may have", all);
        }
        // Others fork meanwhile as they like.
        neighbour.launch(shell("sh -c 'echo fine'; exit 0"));
        assert_eq!(ended(&neighbour).how, How::Exited(Exit::Code(0)));
        assert_eq!(neighbour.said(), ["fine"]);
        killed(&sandbox);
        // Beside the first, which nobody bore.
        assert!(born() < MOST as usize, "{} were born", born());
        is_playable(&bed);
    }
}

#[test]
fn a_game_that_eats_memory_is_killed_for_it_alone() {
    let Some(bed) = bed() else { return };
    if !is_bounded(&bed, Controller::Memory) {
        return;
    }
    let neighbour = bed.start(&spec("neighbour"));
    until(&neighbour, &Phase::Waiting);
    let mut spec = spec("eater");
    spec.limits.memory = Some(192 << 20);
    // Looks for the end of a line that has none.
    let eater = Program {
        command: "/usr/bin/tail".into(),
        args: vec!["/dev/zero".into()],
        ..Program::default()
    };
    let sandbox = bed.play(&spec, eater);
    let end = ended(&sandbox);
    assert_eq!(end, End { how: How::OutOfMemory(ByteSize(192 << 20)), gone: true });
    let told = "the game took more memory than its limit of 192 MiB";
    assert_eq!(end.how.to_string(), told);
    assert_eq!(neighbour.phase(), Phase::Waiting);
}

#[test]
fn that_nothing_bounds_games_is_told_by_a_node_and_by_its_doctor_in_the_same_words() {
    let run = tempfile::tempdir().unwrap();
    open_to_all(run.path());
    let mut of_doctor = None;
    let bed = bed_with(|config| {
        config.limits = false;
        of_doctor = Some(Config { run: run.path().to_owned(), ..config.clone() });
    });
    let words = "limits unavailable: switched off";
    let checks = Bubblewrap::checks(&of_doctor.unwrap());
    let limits = checks.iter().find(|check| check.what == "limits (cgroup)").unwrap();
    assert_eq!(limits.verdict, Err(words.to_owned()));
    let Some(bed) = bed else { return };
    assert_eq!(bed.confinement.found().limits, Err(words.to_owned()));
}

#[test]
fn a_home_that_is_full_is_full() {
    let Some(bed) = bed() else { return };
    let mut spec = spec("filler");
    spec.home = 4 << 20;
    let script = "dd if=/dev/zero of=$HOME/big bs=65536 count=1000; rm big && echo x > small \
                  && echo room; for folder in / /dev /run/nearlight/pulse /usr /etc; do \
                  echo x > $folder/x && echo wrote to $folder; done; \
                  dd if=/dev/zero of=/run/big bs=1M count=1000; exit 0";
    let sandbox = bed.play(&spec, shell(script));
    assert_eq!(ended(&sandbox).how, How::Exited(Exit::Code(0)));
    let said = sandbox.said();
    assert!(said.iter().any(|line| line == "room"), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("wrote")), "{said:?}");
    assert_eq!(said.iter().filter(|line| line.contains("No space left")).count(), 2, "{said:?}");
    assert_eq!(in_home(&sandbox, "small").unwrap(), b"x\n");
    assert!(in_home(&sandbox, "big").is_none());
}

#[test]
fn a_game_that_ignores_the_request_to_end_is_killed() {
    let Some(bed) = bed() else { return };
    let mut spec = spec("deaf");
    spec.patience.grace = Duration::from_millis(200);
    let script = "trap '' TERM HUP INT; echo deaf; while :; do sleep 1; done";
    let sandbox = bed.play(&spec, shell(script));
    said(&sandbox, "deaf");
    sandbox.stop();
    assert_eq!(ended(&sandbox), End { how: How::Killed, gone: true });
}

#[test]
fn orphans_end_with_their_game() {
    let Some(bed) = bed() else { return };
    let script = "for n in 1 2 3; do setsid sh -c 'trap \"\" TERM HUP; exec sleep 100000' & done; \
                  setsid true & wait $!; echo left; exit 0";
    let sandbox = bed.play(&spec("orphans"), shell(script));
    assert_eq!(ended(&sandbox), End { how: How::Exited(Exit::Code(0)), gone: true });
    assert_eq!(sandbox.said(), ["left"]);
}

#[test]
fn a_game_that_halts_itself_is_ended_all_the_same() {
    let Some(bed) = bed() else { return };
    let mut spec = spec("halted");
    spec.patience.grace = Duration::from_millis(200);
    let sandbox = bed.play(&spec, shell("echo here; kill -STOP $$; echo never"));
    said(&sandbox, "here");
    sandbox.stop();
    let end = ended(&sandbox);
    // The request may come before it halts.
    assert!(end.gone && matches!(end.how, How::Killed | How::Stopped), "{end:?}");
    assert_eq!(sandbox.said(), ["here"]);
}

#[test]
fn a_game_that_writes_without_end_is_heard_within_bounds() {
    let Some(bed) = bed() else { return };
    let endless = shell("while :; do head -c 100000 /dev/zero | tr '\\0' x; done");
    for program in [shell("yes 'a line of some length'"), endless] {
        let sandbox = bed.play(&spec("loud"), program);
        eventually("its phase", || (sandbox.phase() == Phase::Running).then_some(()));
        std::thread::sleep(Duration::from_millis(200));
        let said = sandbox.said();
        assert!(said.len() <= 40 && said.iter().all(|line| line.len() <= 512), "{said:?}");
        killed(&sandbox);
    }
}

#[test]
fn a_dropped_sandbox_is_gone() {
    let Some(bed) = bed() else { return };
    for wait in [Phase::Created, Phase::Waiting] {
        let sandbox = bed.start(&spec("dropped"));
        if wait == Phase::Waiting {
            until(&sandbox, &wait);
        }
        let (pid, folder) = (sandbox.pid(), sandbox.folder().to_owned());
        drop(sandbox);
        assert!(!folder.exists());
        if let Some(pid) = pid {
            assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        }
    }
}
