//! What there is for sandboxes, one thing after the other, for people who ask why no game can be played.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use media::GraphicsMemory;

use super::cgroup::{Controller, Tree};
use super::command::Host;
use super::filter;
use super::find::{Missing, Tool, init, internet, joystick, tool, tops, tried};
use super::folder::{Run, User};
use super::mark::Mark;
use super::{Config, xorg};
use crate::graphics::Graphics;

/// One thing that hosting needs, or makes use of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is.
    pub what: &'static str,
    /// What was found, or why it is not there.
    pub verdict: Result<String, String>,
}

/// Looks for everything, and says of each what it is or why it is not there. Nothing is left of it.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let text = |missing: Missing| missing.to_string();
    let told = |tool: &Tool| {
        let version = tool.version.clone().filter(|version| !version.is_empty());
        version.unwrap_or_else(|| tool.path.display().to_string())
    };
    let own_users = rustix::process::geteuid().is_root();
    let bwrap = tool("bwrap", config.bwrap.as_deref(), Some("--version"), "install bubblewrap");
    let display = tool("Xvfb", config.display.as_deref(), None, "install xvfb");
    let init = init(config.init.as_deref(), own_users);
    let users = users(config, own_users);
    let user = own_users.then_some(User { uid: config.users.start, gid: config.users.start });
    let internet = match &init {
        Ok(init) => internet(config.passt.as_deref(), init, user),
        Err(_) => Err("not tried: nearlight-init is missing".to_owned()),
    };
    let joystick = joystick(config.init.as_deref(), own_users);
    let devices = crate::devices::find(config.devices.as_deref(), own_users);
    let mark = Mark::own().map_err(|error| error.to_string());
    let tree = match (config.limits, &mark) {
        (false, _) => Err("switched off".to_owned()),
        (true, Ok(mark)) => Tree::find(mark),
        (true, Err(error)) => Err(error.clone()),
    };
    let sandbox = match (&bwrap, &display, &init, &users, mark) {
        (Ok(bwrap), Ok(display), Ok(init), Ok(_), Ok(mark)) => {
            trial(config, bwrap, display, init, &mark).map(|whole| match whole {
                true => "ok".to_owned(),
                false => "ok, refused inside by the filter alone".to_owned(),
            })
        }
        _ => Err("not tried: something above is missing".to_owned()),
    };
    let freezer = match &tree {
        Ok(tree) if tree.has(Controller::Freezer) => format!("ok, {}", tree.version()),
        Ok(tree) => format!("by signals: {}", tree.missing().join(", ")),
        Err(reason) => format!("by signals: {reason}"),
    };
    let ok = |text: String| format!("ok, {text}");
    let is_whole = tree.as_ref().is_ok_and(|tree| tree.missing().is_empty());
    let of_tree = Tree::in_words(&tree).map(|words| if is_whole { ok(words) } else { words });
    let checks = [
        ("bubblewrap", bwrap.as_ref().map(told).map(ok).map_err(ToString::to_string)),
        ("Xvfb", display.as_ref().map(told).map(ok).map_err(ToString::to_string)),
        (
            "Xorg (fingers)",
            xorg::find(config.xorg.as_deref()).map(|path| ok(path.display().to_string())),
        ),
        ("nearlight-init", init.map(|path| ok(path.display().to_string())).map_err(text)),
        ("users", users.map(ok)),
        ("user namespaces", sandbox),
        ("limits (cgroup)", of_tree),
        ("halting (freezer)", Ok(freezer)),
        ("graphics for games", gpu(&config.gpu, own_users)),
        ("graphics memory", Ok(graphics_memory(&config.gpu))),
        ("internet (passt)", internet.map(|tools| ok(tools.passt.display().to_string()))),
        ("gamepads (shim)", joystick.map(|path| ok(path.display().to_string()))),
        (
            "gamepads, pens (uinput)",
            devices.as_ref().map(|_| "ok".to_owned()).map_err(Clone::clone),
        ),
        (
            "DualSense (uhid)",
            match devices {
                Ok(found) => found.dualsense.map(|()| "ok".to_owned()),
                Err(_) => Err("only beside gamepads and pens of the kernel (uinput)".to_owned()),
            },
        ),
        ("sound of ALSA's games", Ok(alsa())),
    ];
    checks.into_iter().map(|(what, verdict)| Check { what, verdict }).collect()
}

/// Whether games hear of the session's sound server that know ALSA alone: by a plugin of its library.
fn alsa() -> String {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let plugin = |folder: PathBuf| folder.join("alsa-lib/libasound_module_pcm_pulse.so");
    let mut folders = folders.map(|folder| folder.path()).chain([PathBuf::from("/usr/lib64")]);
    match folders.any(|folder| plugin(folder).exists()) {
        true => "ok".to_owned(),
        false => "none: ALSA's plugin is missing (Debian: libasound2-plugins)".to_owned(),
    }
}

/// The graphics devices that games may have.
fn gpu(devices: &[PathBuf], own_users: bool) -> Result<String, String> {
    if devices.is_empty() {
        return Ok("none: games.gpu names no device nodes".to_owned());
    }
    let names: Vec<_> = devices.iter().map(|path| path.display().to_string()).collect();
    let groups = super::devices::groups(devices, own_users);
    groups.map(|_| format!("ok, {}", names.join(", "))).map_err(|refused| refused.to_string())
}

/// What is known of the memory of these devices, which admission goes by.
fn graphics_memory(devices: &[PathBuf]) -> String {
    let graphics = Graphics::of(devices);
    let told = graphics.each().map(|(node, memory)| match memory {
        Ok(GraphicsMemory { total, free }) => {
            let [free, total] = [free, total].map(|size| size.0 / 1_000_000);
            format!("of {}: {free} of {total} MB are free", node.display())
        }
        Err(why) => format!("of {} is not known: {why}", node.display()),
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() { "none".to_owned() } else { told.join("; ") }
}

/// Makes a sandbox and ends it; whether bubblewrap itself refuses user namespaces inside.
fn trial(
    config: &Config,
    bwrap: &Tool,
    display: &Tool,
    init: &Path,
    mark: &Mark,
) -> Result<bool, String> {
    let filter = filter::bytes().map_err(|error| format!("no filter of system calls: {error}"))?;
    let folder = |error: io::Error| format!("{}: {error}", config.run.display());
    let run = Run::open(&config.run, mark).map_err(folder)?;
    let (tops, display) = (tops().map_err(folder)?, display.path.clone());
    let joystick = Err("not asked for".to_owned());
    let xorg = Err("not asked for".to_owned());
    let (init, can_disable_userns) = (init.to_owned(), true);
    let host = Host { tops, init, display, xorg, joystick, can_disable_userns };
    let own_users = rustix::process::geteuid().is_root();
    let user = own_users.then_some(User { uid: config.users.start, gid: config.users.start });
    let tried = tried(&bwrap.path, host, &filter, &run, user);
    tried.map(|host| host.can_disable_userns).map_err(|missing| missing.to_string())
}

/// The users that games run as, where somebody else has none of them.
fn users(config: &Config, own_users: bool) -> Result<String, String> {
    if !own_users {
        return Ok("the node's own, which is not root".to_owned());
    }
    let range = &config.users;
    if range.is_empty() {
        return Err(Missing::Users.to_string());
    }
    // A machine may have neither file.
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    match taken(range, &read("/etc/passwd"), &read("/etc/subuid")) {
        Some(by) => Err(format!("{} to {} is used by {by}", range.start, range.end - 1)),
        None => Ok(format!("{} to {}", range.start, range.end - 1)),
    }
}

/// Who has a number of the range: by passwd(5), or for what it contains by subuid(5).
fn taken(range: &Range<u32>, passwd: &str, subuid: &str) -> Option<String> {
    let number = |text: Option<&str>| text?.trim().parse::<u32>().ok();
    let people = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next()?, number(fields.nth(1))?);
        range.contains(&uid).then(|| format!("the user {name}"))
    });
    let lent = subuid.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, first, count) = (fields.next()?, number(fields.next())?, number(fields.next())?);
        let meets = first < range.end && first.saturating_add(count) > range.start;
        meets.then(|| format!("containers of {name}"))
    });
    people.chain(lent).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_others_are_no_users_of_games() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nbroken\n";
        let subuid = "me:100000:65536\nbroken:1\n";
        let taken = |range: Range<u32>| taken(&range, passwd, subuid);
        assert_eq!(taken(2_000..3_000), None);
        assert_eq!(taken(900..1_001).as_deref(), Some("the user me"));
        assert_eq!(taken(1_001..100_000), None);
        assert_eq!(taken(165_535..165_600).as_deref(), Some("containers of me"));
        assert_eq!(taken(165_536..u32::MAX), None);
    }
}
