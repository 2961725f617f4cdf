//! Devices of the kernel in real sandboxes, made by a double of `/dev/uinput` and `/dev/uhid`: what a program opens there are
//! `null`, `zero` and `full`, which stand for what a kernel would make. Only root can hand devices to a sandbox.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "helpers of tests fail and speak as tests do; each test file uses its part"
)]

mod common;
#[path = "../src/devices/double.rs"]
mod double;
mod kernel {
    pub use nearlight_host::devices::Kernel;
}
mod node {
    pub use nearlight_host::devices::{Argument, Node};
}

use std::sync::Arc;

use common::{Bed, bed_with, ended, eventually, must_run, said, shell, spec};
use double::KernelDouble;
use media::{Pad, Pen, Plug};
use nearlight_host::Game as _;
use nearlight_host::confine::{Input, Sandbox};
use nearlight_host::devices::DeviceServer;

/// Says what there is, and waits for what comes and goes.
const LOOKS: &str = "\
see() { until [ -c /dev/input/$1 ]; do sleep 0.02; done; stat -c \"$1 %t:%T %a\" /dev/input/$1; }
see event0; see js0
echo x > /dev/input/event0 && echo taken
[ -w /dev/input/js0 ] && echo writable
touch /dev/input/mine 2>&- || echo 'nothing of its own'
rm -f /dev/input/event0 2>&-; [ -e /dev/input/event0 ] && echo 'it stays'
while [ -e /dev/input/event0 ]; do sleep 0.02; done; echo gone
see event1; see event5; see event9; see hidraw1; see event12
stat -L -c 'hidraw %t:%T' /dev/hidraw1
[ -e /dev/hidraw0 ] || echo 'no other'
env | grep SDL_
[ -z \"$LD_PRELOAD\" ] && echo 'no library'
exec sleep 1000
";

fn bed_of(kernel: &KernelDouble) -> Option<Bed> {
    let bed = bed_with(|config| config.devices = Some(Arc::new(kernel.clone())))?;
    if let Err(reason) = &bed.confinement.found().offers.devices {
        let root = rustix::process::geteuid().is_root();
        assert!(!must_run() || !root, "NEARLIGHT_HOST is set, and {reason}");
        println!("left out: {reason}");
        return None;
    }
    Some(bed)
}

fn play(bed: &Bed, name: &str, script: &str) -> Sandbox {
    let mut spec = spec(name);
    spec.input = Input::Devices;
    bed.play(&spec, shell(script))
}

fn serve(kernel: &KernelDouble, sandbox: &Sandbox, pen: bool) -> DeviceServer {
    let folder = sandbox.devices().unwrap().clone();
    let kernel = Arc::new(kernel.clone());
    DeviceServer::open("pads", kernel, folder, pen, Box::new(|_, _| {})).unwrap()
}

#[test]
fn a_sandbox_has_its_own_devices_and_nobody_elses() {
    let kernel = KernelDouble::default();
    let Some(bed) = bed_of(&kernel) else { return };
    let sandbox = play(&bed, "devices", LOOKS);
    let other = play(&bed, "others", "sleep 1; ls -A /dev/input | wc -l; exec sleep 1000");
    let server = serve(&kernel, &sandbox, true);
    let _others = serve(&kernel, &other, false);
    let pads = server.sink();
    pads.plug(Pad::ALL[0], Plug::Standard);
    let says = |line: &str| said(&sandbox, line);
    for line in
        ["event0 1:3 660", "js0 1:5 660", "taken", "writable", "nothing of its own", "it stays"]
    {
        says(line);
    }
    pads.plug(Pad::ALL[0], Plug::Out);
    says("gone");
    pads.plug(Pad::ALL[1], Plug::DualSense);
    for line in ["event1 1:3 660", "event5 1:3 660", "event9 1:3 660", "hidraw1 1:7 660"] {
        says(line);
    }
    for line in ["event12 1:3 660", "hidraw 1:7", "no other", "SDL_JOYSTICK_DISABLE_UDEV=1"] {
        says(line);
    }
    says("no library");
    pads.draw(&Pen::default());
    said(&other, "0");
    assert_eq!(kernel.there(), 2, "a pen and a DualSense");
    for sandbox in [&sandbox, &other] {
        sandbox.kill();
        ended(sandbox);
    }
    drop(server);
    assert_eq!(kernel.there(), 0, "the kernel takes them away");
}

#[test]
fn what_the_kernel_does_not_make_is_not_there_and_harms_nobody() {
    let kernel = KernelDouble::default();
    let Some(bed) = bed_of(&kernel) else { return };
    let sandbox = play(&bed, "devices", "exec sleep 1000");
    let server = serve(&kernel, &sandbox, false);
    let pads = server.sink();
    kernel.refuse_uhid(true);
    pads.plug(Pad::ALL[0], Plug::DualSense);
    pads.plug(Pad::ALL[1], Plug::Standard);
    eventually("the other gamepad", || (kernel.made_by("/dev/uinput").len() == 1).then_some(()));
    kernel.refuse_uhid(false);
    // It is asked for again when it is plugged in again.
    eventually("the gamepad", || {
        pads.plug(Pad::ALL[0], Plug::DualSense);
        (kernel.there() == 2).then_some(())
    });
}
