//! Whether sessions can have devices of the kernel on this machine.

use rustix::fs::makedev;

use super::folder::DeviceFolder;
use super::kernel::Kernel;

/// What can be made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicesFound {
    /// Whether there can be a DualSense, or why not: it is a gamepad without motion, touchpad and lights then.
    pub dualsense: Result<(), String>,
}

/// Tries it out: opens the kernel's nodes, and a device in a folder as a session has it.
///
/// # Errors
/// Why sessions have none, for people.
pub(crate) fn find(kernel: Option<&dyn Kernel>, own_users: bool) -> Result<DevicesFound, String> {
    let kernel = kernel.ok_or("they are switched off (games.devices)")?;
    drop(kernel.uinput()?);
    if !own_users {
        return Err("only a node that is root can hand devices to a sandbox".into());
    }
    let tried = || {
        let folder = DeviceFolder::make(0)?;
        // The one that swallows everything: `Documentation/admin-guide/devices.txt`.
        folder.put("event0", makedev(1, 3))?;
        folder.open("event0")
    };
    tried().map_err(|error| format!("no device can be put into a sandbox: {error}"))?;
    Ok(DevicesFound { dualsense: kernel.uhid().map(drop) })
}

#[cfg(test)]
mod tests {
    use super::super::double::KernelDouble;
    use super::*;

    #[test]
    fn what_there_is_for_devices_is_said_with_the_reason() {
        assert!(find(None, true).unwrap_err().contains("games.devices"));
        let kernel = KernelDouble::default();
        assert!(find(Some(&kernel), false).unwrap_err().contains("root"));
        kernel.refuse_uinput(true);
        assert_eq!(find(Some(&kernel), true), Err("/dev/uinput: the double refuses it".into()));
        kernel.refuse_uinput(false);
        if !rustix::process::geteuid().is_root() {
            return;
        }
        assert_eq!(find(Some(&kernel), true), Ok(DevicesFound { dualsense: Ok(()) }));
        kernel.refuse_uhid(true);
        let refused = Err("/dev/uhid: the double refuses it".to_owned());
        assert_eq!(find(Some(&kernel), true), Ok(DevicesFound { dualsense: refused }));
        assert_eq!(kernel.there(), 0, "nothing stays open");
    }
}
