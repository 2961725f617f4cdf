//! VMAF (Netflix, model vmaf_v0.6.1), by a build of FFmpeg that has libvmaf. Debian's has not; the Python
//! package `imageio-ffmpeg` brings one, which `scripts/setup test` installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// An FFmpeg with the filter `libvmaf`.
#[derive(Debug)]
pub(super) struct Vmaf(PathBuf);

impl Vmaf {
    /// The command that the package brings.
    ///
    /// # Errors
    /// When it is not installed, or has no such filter.
    pub(super) fn find() -> Result<Self> {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/.venv/bin/python");
        let script = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
        let command = PathBuf::from(said(Command::new(python).args(["-c", script]))?.trim());
        let filters = said(Command::new(&command).args(["-hide_banner", "-filters"]))?;
        ensure!(filters.contains(" libvmaf "), "{} has no filter libvmaf", command.display());
        Ok(Self(command))
    }

    /// The mean over the pictures of a stream, 0 to 100, against the first as many of a clip.
    ///
    /// # Errors
    /// When the command fails, or tells no score.
    pub(super) fn score(&self, stream: &Path, clip: &Path, pictures: u32) -> Result<f64> {
        // Raw streams have times of their own, and what a clip leaves unsaid of its colours would be converted.
        let alike = "settb=1/60,setpts=N,setparams=range=tv:colorspace=bt709";
        let graph = format!(
            "[0:v]{alike}[coded];[1:v]trim=end_frame={pictures},{alike}[source];\
             [coded][source]libvmaf=n_threads=2:shortest=1"
        );
        let mut command = Command::new(&self.0);
        command.args(["-nostdin", "-hide_banner", "-v", "info", "-i"]).arg(stream);
        command.arg("-i").arg(clip).args(["-lavfi", &graph, "-f", "null", "-"]);
        let output = command.output().with_context(|| self.0.display().to_string())?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {told}", self.0.display());
        parse(&told).with_context(|| format!("no score in {told:?}"))
    }
}

/// What a command prints.
fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| name.clone())?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(told: &str) -> Option<f64> {
    let (_, score) = told.rsplit_once("VMAF score: ")?;
    score.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_the_last_line_of_the_filter() {
        let told = "frame= 30\n[Parsed_libvmaf_4 @ 0x55d0] VMAF score: 93.521907\n";
        assert_eq!(parse(told), Some(93.521_907));
        assert_eq!(parse("Conversion failed!"), None);
    }
}
