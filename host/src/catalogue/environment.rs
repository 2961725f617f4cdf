//! Which variables an entry may set.

/// Set by the node for every session: an entry's own value would break the session, or lead out of it.
const OF_THE_NODE: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PATH",
    "PWD",
    "OLDPWD",
    "TMPDIR",
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "PULSE_SERVER",
    "PULSE_COOKIE",
    "PULSE_RUNTIME_PATH",
    "PIPEWIRE_REMOTE",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
];

/// Make programs load code that is not theirs.
const LOADS_CODE: &[&str] = &[
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "GLIBC_TUNABLES",
    "BASH_ENV",
    "ENV",
    "IFS",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "RUBYLIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "CLASSPATH",
    "LUA_INIT",
    "LIBGL_DRIVERS_PATH",
    "GBM_BACKENDS_PATH",
    "LIBVA_DRIVERS_PATH",
    "VDPAU_DRIVER_PATH",
    "GST_PLUGIN_PATH",
    "GST_PLUGIN_SYSTEM_PATH",
    "GTK_PATH",
    "GTK_MODULES",
    "QT_PLUGIN_PATH",
    "ALSA_CONFIG_PATH",
];

/// Whole families of either kind.
const PREFIXES: &[(&str, &str)] = &[
    ("LD_", "it makes programs load code that is not theirs"),
    ("VK_", "it makes Vulkan load code that is not its own"),
    ("BASH_FUNC_", "it makes programs load code that is not theirs"),
    ("NEARLIGHT_", "it is the node's own"),
];

/// Why an entry may not set `name`; none where it may.
pub(super) fn refused(name: &str) -> Option<String> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let plain = name.starts_with(first)
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain {
        return Some("it is not a name of up to 64 letters, digits and _".into());
    }
    if let Some((_, why)) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return Some((*why).into());
    }
    if OF_THE_NODE.contains(&name) {
        return Some("the node sets it for each session".into());
    }
    LOADS_CODE.contains(&name).then(|| "it makes programs load code that is not theirs".into())
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn what_games_need_is_allowed() {
        for name in
            ["SDL_AUDIODRIVER", "vblank_mode", "MESA_GL_VERSION_OVERRIDE", "LANG", "_x", "LDX"]
        {
            assert_eq!(refused(name), None, "{name}");
        }
    }

    #[test]
    fn what_breaks_out_is_refused() {
        for name in [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "LD_AUDIT",
            "PATH",
            "HOME",
            "DISPLAY",
            "PULSE_SERVER",
            "VK_LAYER_PATH",
            "BASH_ENV",
            "NEARLIGHT_KEY",
            "",
            "1A",
            "A B",
            "A=B",
            "A\0",
            "ÄB",
            &"A".repeat(65),
        ] {
            assert!(refused(name).is_some(), "{name}");
        }
    }
}
